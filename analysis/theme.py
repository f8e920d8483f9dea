"""Colours and layout that all figures share. The page's script swaps the light template for the dark one."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#B59F00", "#888888")
"""Okabe and Ito's colours, told apart by colour-blind eyes; yellow is darker, and black grey, to show on any ground."""
VIRIDIS_START, VIRIDIS_END = 0.12, 0.8
"""The part of Viridis (0..1) that is used: beyond it a colour vanishes on a dark or on a light ground."""
SHADES = sample_colorscale("Viridis", [VIRIDIS_START + (VIRIDIS_END - VIRIDIS_START) * i / 255 for i in range(256)])
SEQUENCE = SHADES[::17]
ACCENT, FADED = CATEGORIES[0], "rgba(136,136,136,0.45)"
HEIGHT_PX = 420
"""The height of a figure that names no other."""
MAX_SINGLE_TICKS = 8
"""The largest number up to which an axis of whole numbers marks each of them."""


def figure(*traces: Any, x: str = "", y: str = "", height: int = HEIGHT_PX, **layout: Any) -> go.Figure:
    """A figure with titled axes in the shared style; `layout` is plotly's."""
    drawn = go.Figure(list(traces))
    drawn.update_layout(
        template=template(dark=False),
        height=height,
        xaxis_title_text=x,
        yaxis_title_text=y,
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0},
        hoverlabel={"namelength": -1},
        **layout,
    )
    return drawn


@cache
def template(*, dark: bool) -> go.layout.Template:
    """The colours of ground, ink and grid, as plotly's template."""
    ink, grid = ("#d8dee6", "#39414d") if dark else ("#24292f", "#dfe3e8")
    axis = {"gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "automargin": True}
    return go.layout.Template(
        layout={
            "font": {"color": ink, "family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 13},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": CATEGORIES,
            "xaxis": axis,
            "yaxis": axis,
            "colorscale": {"sequential": SEQUENCE},
        }
    )


def colour_of(values: Sequence[Any]) -> dict[Any, str]:
    """A colour for each distinct value, in the order in which the values stand."""
    distinct = list(dict.fromkeys(values))
    return {value: CATEGORIES[i % len(CATEGORIES)] for i, value in enumerate(distinct)}


def shade(place: float) -> str:
    """The colour of a place in 0..1 on a scale."""
    return str(SHADES[round(255 * min(max(place, 0.0), 1.0))])


def whole_axis(highest: float) -> dict[str, Any]:
    """An axis that counts from 1: plotly's own would mark halves where there are few."""
    return {"dtick": 1} if highest <= MAX_SINGLE_TICKS else {}


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis over values of this range, with round numbers: plotly's own would name every digit."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
