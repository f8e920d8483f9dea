"""A comparison's learning curves, and the best so far of its searches: numbers, drawing, words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from analysis import theme
from analysis.comparison.contenders import Contender
from analysis.errors import Missing
from analysis.plots import best_so_far
from analysis.runs import curve_column
from contract.formatting import amount
from contract.metrics import label

Colours = Mapping[str, str]
"""The colour of each contender, by name."""


def prepare_curves(contenders: Sequence[Contender], metric: str) -> pd.DataFrame:
    """A row a contender and epoch that all of its runs reached: contender, epoch, n, mean, low, high.

    Raises:
        Missing: MLflow holds no epoch of them.
    """
    parts = []
    for c in contenders:
        curves, column = c.curves(), curve_column(metric)
        if column not in curves:
            continue
        curves = curves.dropna(subset=column)
        found = curves.groupby("epoch")[column].agg(n="count", mean="mean", low="min", high="max").reset_index()
        parts.append(found[found["n"] == curves["run_id"].nunique()].assign(contender=c.name))
    if all(part.empty for part in parts):
        raise Missing(f"MLflow holds no epoch of these runs with {label(metric)}.")
    return pd.concat(parts, ignore_index=True)[["contender", "epoch", "n", "mean", "low", "high"]]


def draw_curves(frame: pd.DataFrame, metric: str, colours: Colours) -> go.Figure:
    """A line a contender, with a band from the lowest to the highest of its runs."""
    bands, lines = [], []
    for name, curve in frame.groupby("contender", sort=False):
        colour = colours[str(name)]
        if curve["n"].max() > 1:
            bands += [
                go.Scatter(
                    x=curve["epoch"],
                    y=curve[edge],
                    mode="lines",
                    line_width=0,
                    legendgroup=name,
                    showlegend=False,
                    hoverinfo="skip",
                    fill=fill,
                    fillcolor="rgba({}, {}, {}, 0.2)".format(*hex_to_rgb(colour)),
                )
                for edge, fill in (("high", "none"), ("low", "tonexty"))
            ]
        lines.append(
            go.Scatter(
                x=curve["epoch"],
                y=curve["mean"],
                mode="lines+markers" if len(curve) == 1 else "lines",
                name=name,
                legendgroup=name,
                line={"color": colour, "width": 2.5},
                hovertemplate="epoch %{x}: %{y:.4f}",
            )
        )
    return theme.figure(*bands, *lines, x="epoch", y=label(metric), hovermode="closest").update_xaxes(
        theme.whole_axis(frame["epoch"].max())
    )


def describe_curves(frame: pd.DataFrame, metric: str) -> str:
    """Say where each curve ends."""
    lasts = frame.groupby("contender", sort=False, as_index=False).last()
    ends = "; ".join(
        f"{row['contender']} {amount(metric, row['mean'])} after epoch {row['epoch']} (n = {row['n']})"
        for row in lasts.to_dict("records")
    )
    band = " The bands reach from the lowest to the highest run." if frame["n"].max() > 1 else ""
    return f"{label(metric).capitalize()}: {ends}.{band}"


def prepare_best(contenders: Sequence[Contender], metric: str, maximize: bool) -> pd.DataFrame:
    """A row a search and trial with a result, as they ended: contender, number, finished, value, best.

    Raises:
        Missing: there is no search among them.
    """
    parts = []
    for c in (c for c in contenders if c.whole):
        description = {**c.record.description, "objective": {"metric": metric, "maximize": maximize}}
        try:
            found = best_so_far.prepare(replace(c.record, description=description))
        except Missing:
            continue
        parts.append(found.assign(contender=c.name))
    if not parts:
        raise Missing("There is no search among the contenders, only single runs.")
    return pd.concat(parts, ignore_index=True)[["contender", "number", "finished", "value", "best"]]


def draw_best(frame: pd.DataFrame, metric: str, colours: Colours) -> go.Figure:
    """A staircase a search."""
    lines = [
        go.Scatter(
            x=found["finished"],
            y=found["best"],
            mode="lines+markers" if len(found) == 1 else "lines",
            name=name,
            line={"color": colours[str(name)], "shape": "hv", "width": 2.5},
            hovertemplate="%{x} trials: %{y:.4f}",
        )
        for name, found in frame.groupby("contender", sort=False)
    ]
    figure = theme.figure(*lines, x="trials finished", y=f"best {label(metric)}")
    return figure.update_layout(showlegend=True).update_xaxes(theme.whole_axis(frame["finished"].max()))


def describe_best(frame: pd.DataFrame, metric: str) -> str:
    """Say what the best run of each search is, and after how many trials it came."""
    said = []
    for name, found in frame.groupby("contender", sort=False):
        best = found["best"].iloc[-1]
        reached = found["finished"][found["best"] == best].iloc[0]
        said.append(f"{name} {amount(metric, best)} after {reached} of {len(found)} trials")
    return f"The best {label(metric)} of a single run so far: {'; '.join(said)}."
