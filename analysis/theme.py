"""Colours and layout that all figures share. The page's script swaps the light template for the dark one."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#B59F00", "#888888")
"""Okabe and Ito's colours, told apart by colour-blind eyes; yellow is darker, and black grey, to show on any ground."""
DARKEST, LIGHTEST = 0.12, 0.8
"""Of Viridis: beyond them it vanishes on a dark or a light ground."""
SHADES = sample_colorscale("Viridis", [DARKEST + (LIGHTEST - DARKEST) * i / 255 for i in range(256)])
SEQUENCE = SHADES[::17]
ACCENT, FADED = CATEGORIES[0], "rgba(136,136,136,0.45)"
HEIGHT, WHOLE = 420, 8
"""Of a figure in pixels; up to which number each whole one is marked."""


def figure(*traces: Any, x: str = "", y: str = "", height: int = HEIGHT, **layout: Any) -> go.Figure:
    """A figure with titled axes in the shared style; `layout` is plotly's."""
    made = go.Figure(list(traces))
    made.update_layout(
        template=template(dark=False), height=height, xaxis_title_text=x, yaxis_title_text=y,
        margin={"l": 60, "r": 20, "t": 30, "b": 50}, legend={"orientation": "h", "yanchor": "bottom", "y": 1.0},
        hoverlabel={"namelength": -1}, **layout,
    )  # fmt: skip
    return made


@cache
def template(*, dark: bool) -> go.layout.Template:
    """Ground, ink and grid."""
    ink, grid = ("#d8dee6", "#39414d") if dark else ("#24292f", "#dfe3e8")
    axis = {"gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "automargin": True}
    return go.layout.Template(
        layout={
            "font": {"color": ink, "family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 13},
            "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "colorway": CATEGORIES,
            "xaxis": axis, "yaxis": axis, "colorscale": {"sequential": SEQUENCE},
        }
    )  # fmt: skip


def colour_of(values: Sequence[Any]) -> dict[Any, str]:
    """A colour for each distinct value, in the order in which they come."""
    distinct = list(dict.fromkeys(values))
    return {value: CATEGORIES[i % len(CATEGORIES)] for i, value in enumerate(distinct)}


def shade(place: float) -> str:
    """The colour of a place in 0..1 on a scale."""
    return SHADES[round(255 * min(max(place, 0.0), 1.0))]


def label(metric: str) -> str:
    """A metric's name as an axis shows it: `val_accuracy` is `validation accuracy`."""
    units = {
        "epoch_seconds": "seconds an epoch",
        "images_per_second": "images a second",
        "peak_memory_mb": "peak memory (MB)",
    }
    return units.get(metric) or metric.replace("val_", "validation ").replace("train_", "training ").replace("_", " ")


def amount(metric: str, value: float, spread: float = float("nan")) -> str:
    """A value as it is read, with its standard deviation: `62.66 ± 0.31 %`; of a loss `1.0930 ± 0.0121`."""
    scale, digits, unit = (100, 2, " %") if metric.endswith("accuracy") else (1, 4, "")
    text = f"{scale * value:.{digits}f}"
    return text + (f" ± {scale * spread:.{digits}f}" if spread == spread else "") + unit


def duration(seconds: float) -> str:
    """As `2 h 05 min`, `3 min 20 s` or `12 s`."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def whole_axis(most: float) -> dict[str, Any]:
    """An axis that counts from 1: plotly's own would mark halves where there are few."""
    return {"dtick": 1} if most <= WHOLE else {}


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis over values of this range, with round numbers: plotly's own would name every digit."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
