"""Every metric of the winner, epoch by epoch: training and validation side by side."""

import math

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis import theme
from analysis.errors import Missing
from analysis.record import COURSE, Record
from analysis.runs import curve_column
from contract.metrics import ACCURACY, LOSS, LR, TRAIN_ACCURACY, VAL_ACCURACY, VAL_LOSS, label

TITLE = "The winner, epoch by epoch"
SECTION = "best"
MIN_WIDTH = 780
COLUMNS, MAX_PANELS = 3, 12
"""Panels side by side, and in all; the CSV file has every metric."""
ROW_PX, GAP_PX = 270, 70
"""The height of a row of panels, and the distance between two rows."""
FIRST_PANELS = (LOSS, ACCURACY, LR)
PARTS = {
    "train_": ("training", theme.CATEGORIES[4], "dot"),
    "val_": ("validation", theme.CATEGORIES[0], "solid"),
    "": ("as reported", theme.CATEGORIES[2], "solid"),
}
"""Each part of the data by how its metrics begin: name, colour and dash."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a run, epoch and metric: seed, epoch, metric, value. The runs are the winner's, one for each seed."""
    seeds = record.winner.set_index("run_id")["seed"]
    own = record.curves[record.curves["run_id"].isin(seeds.index)]
    parts = []
    for metric in record.metrics:
        column = curve_column(metric)
        if column in own and (metric == record.metric or metric == LR or metric not in COURSE):
            values = own[["run_id", "epoch"]].assign(metric=metric, value=own[column])
            parts.append(values.dropna(subset="value"))
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if found.empty:
        raise Missing("MLflow holds no epoch of the best runs.")
    long = found.assign(seed=found["run_id"].map(seeds))[["seed", "epoch", "metric", "value"]]
    return long.sort_values(["metric", "seed", "epoch"], ignore_index=True)


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """A panel for each quantity, with a line for each part of the data and seed."""
    panels = _panels(frame, record)[:MAX_PANELS]
    wide = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / wide)
    inner = ROW_PX * rows + GAP_PX * (rows - 1)
    figure = make_subplots(
        rows, wide, horizontal_spacing=0.075 if wide > 1 else 0, vertical_spacing=GAP_PX / inner if rows > 1 else 0
    )
    figure.update_layout(theme.figure(height=inner + GAP_PX).layout)
    named: set[str] = set()
    for i, quantity in enumerate(panels):
        place = {"row": i // wide + 1, "col": i % wide + 1}
        own = frame[frame["metric"].map(_quantity) == quantity]
        for trace in _lines(own):
            figure.add_trace(trace.update(showlegend=trace.name not in named), **place)
            named.add(trace.name)
        figure.update_yaxes(title_text=_title(quantity), **place)
        positive = own.loc[own["value"] > 0, "value"]
        if quantity == LR and len(positive):
            figure.update_yaxes(theme.log_axis(positive.min(), positive.max()), **place)
    return figure.update_xaxes(title_text="epoch", **theme.whole_axis(frame["epoch"].max()))


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say what the metrics are at the end."""
    seeds, lasts = frame["seed"].nunique(), frame.groupby(["metric", "seed"])["value"].last().groupby("metric").mean()
    shown = dict.fromkeys((TRAIN_ACCURACY, VAL_ACCURACY, VAL_LOSS, record.metric))
    ends = ", ".join(f"{label(metric)} {lasts[metric]:.4f}" for metric in shown if metric in lasts)
    runs = f"{seeds} runs on fresh seeds, " if seeds > 1 else "One run, "
    mean = "mean " if seeds > 1 else ""
    left_out = len(_panels(frame, record)) - MAX_PANELS
    more = f" {MAX_PANELS} quantities are shown; {left_out} more are in the CSV file." if left_out > 0 else ""
    return f"{runs}{frame['epoch'].max()} epochs; {mean}values at the end: {ends}.{more}"


def _panels(frame: pd.DataFrame, record: Record) -> list[str]:
    """The quantities: loss, accuracy and learning rate first, then the objective's, then the others by name."""
    found = {_quantity(metric) for metric in frame["metric"].unique()}
    first = [quantity for quantity in (*FIRST_PANELS, _quantity(record.metric)) if quantity in found]
    return list(dict.fromkeys([*first, *sorted(found)]))


def _part(metric: str) -> str:
    """How the metric's name begins where that names a part of the data."""
    return next(part for part in PARTS if metric.startswith(part))


def _quantity(metric: str) -> str:
    """What is measured: `accuracy` for `val_accuracy` and `train_accuracy`."""
    return metric.removeprefix(_part(metric))


def _title(quantity: str) -> str:
    return "learning rate" if quantity == LR else label(quantity)


def _lines(own: pd.DataFrame) -> list[go.Scatter]:
    """A line for each metric and seed of one quantity."""
    lines = []
    for (metric, seed), curve in own.groupby(["metric", "seed"]):
        name, colour, dash = PARTS[_part(str(metric))]
        name = "learning rate" if metric == LR else name
        lines.append(
            go.Scatter(
                x=curve["epoch"],
                y=curve["value"],
                mode="lines+markers" if len(curve) == 1 else "lines",
                name=name,
                legendgroup=name,
                line={"color": colour, "dash": dash, "width": 1.8},
                hovertemplate=f"seed {seed}, epoch %{{x}}: %{{y:.4g}}<extra>{name}</extra>",
            )
        )
    return lines
