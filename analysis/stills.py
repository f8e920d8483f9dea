"""The figures of a page as PNG files for papers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import plotly.io

from analysis.errors import Missing
from contract.formatting import first_line

WIDTH_PX = 900
"""The width of a figure."""
SCALE = 2
"""Pixels of the file for each pixel of the figure."""


def draw(figures: Mapping[str, go.Figure], folder: Path) -> None:
    """Draw all at once, on white: a browser is started once.

    Raises:
        Missing: they could not be drawn.
    """
    stills = [flat(figure).update_layout(paper_bgcolor="white") for figure in figures.values()]
    paths = [folder / f"{name}.png" for name in figures]
    try:
        plotly.io.write_images(stills, paths, width=WIDTH_PX, height=[f.layout.height for f in stills], scale=SCALE)
    except Exception as error:  # kaleido's browser can fail in many ways, or not be there
        raise Missing(
            f"The figures could not be drawn as PNG files ({first_line(error)}): kaleido needs Chrome or Chromium on "
            "this machine; install one (or run plotly_get_chrome), or give --no-png."
        ) from error


def flat(figure: go.Figure) -> go.Figure:
    """Copy a figure, with parallel coordinates as plain lines.

    WebGL, which plotly draws them with, takes half a minute for 500 trials without a graphics card.
    """
    if not any(isinstance(trace, go.Parcoords) for trace in figure.data):
        return go.Figure(figure)
    dimensions, scale = figure.data[0].dimensions, figure.layout.coloraxis
    heights = np.array([(np.array(d["values"]) - d.range[0]) / (d.range[1] - d.range[0]) for d in dimensions])
    shade = (np.array(figure.data[0].line.color) - scale.cmin) / ((scale.cmax - scale.cmin) or 1)
    shade = np.clip(1 - shade if scale.reversescale else shade, 0, 1)
    lines = []
    for step, (_, colour) in enumerate(scale.colorscale):  # the better, the later, and on top
        own = heights[:, np.round(shade * (len(scale.colorscale) - 1)) == step]
        y = np.vstack([own, np.full(own.shape[1], np.nan)]).T.ravel()
        x = np.tile([*range(len(dimensions)), np.nan], own.shape[1])
        lines.append(go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1}))
    axes, marks = _axes(dimensions)
    still = go.Figure([*lines, axes, marks], figure.layout).update_layout(showlegend=False)
    for i, dimension in enumerate(dimensions):
        still.add_annotation(
            text=dimension.label,
            x=i,
            y=1.01,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            textangle=figure.data[0].labelangle,
        )
    still.update_xaxes(visible=False, range=[-0.5, len(dimensions) - 0.6])
    return still.update_yaxes(visible=False, range=[0, 1])


def _axes(dimensions: Sequence[go.parcoords.Dimension]) -> tuple[go.Scatter, go.Scatter]:
    """Draw the axes, and the texts of their marks."""
    lines = go.Scatter(
        x=[x for i in range(len(dimensions)) for x in (i, i, None)],
        y=[0, 1, None] * len(dimensions),
        mode="lines",
        line={"color": "#24292f", "width": 1.5},
    )
    marks = [
        (i, (at - d.range[0]) / (d.range[1] - d.range[0]), text)
        for i, d in enumerate(dimensions)
        for at, text in zip(d.tickvals, d.ticktext, strict=True)
        if d.range[0] <= at <= d.range[1]
    ]
    x, y, texts = zip(*marks, strict=True)
    return lines, go.Scatter(
        x=x,
        y=y,
        text=[f"{text} –" for text in texts],
        mode="text",
        textposition="middle left",
        textfont={"shadow": ", ".join(["0 0 2px white"] * 4)},
    )
