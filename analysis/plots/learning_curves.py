"""Every trial's objective, epoch by epoch, with ASHA's rungs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis import colouring, importance, theme
from analysis.errors import Missing
from analysis.record import Record
from analysis.searched import epochs
from contract.metrics import label
from contract.outcomes import Outcome

TITLE = "Learning curves of all trials"
SECTION = "curves"
MAX_NAMED = 8
"""Rungs whose lines carry a name; the names of more would run into each other."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a trial and epoch: number, epoch, value, outcome."""
    if record.curve not in record.curves:
        raise Missing("No trial has finished an epoch yet.")
    trials = record.trials.set_index("run_id")[["number", "outcome"]]
    values = record.curves[["run_id", "epoch"]].assign(value=record.curves[record.curve])
    found = values.join(trials, on="run_id", how="inner")
    found = found.dropna(subset="value").sort_values(["number", "epoch"], ignore_index=True)
    if found.empty:
        raise Missing("No trial has finished an epoch yet.")
    return found[["number", "epoch", "value", "outcome"]]


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """A line a trial; those that did not run to the end are faded."""
    colours = data(frame, record)["colours"][0]["colours"]
    lines = [
        go.Scatter(
            x=curve["epoch"],
            y=curve["value"],
            mode="lines+markers" if len(curve) == 1 else "lines",
            line={"color": colour, "width": 1.6},
            marker={"size": 4},
            showlegend=False,
            opacity=0.9 if curve["outcome"].iloc[0] == Outcome.COMPLETED else 0.35,
            name=f"trial {number} ({curve['outcome'].iloc[0]})",
            hovertemplate="epoch %{x}: %{y:.4f}",
        )
        for colour, (number, curve) in zip(colours, frame.groupby("number"), strict=True)
    ]
    figure = theme.figure(*lines, x="epoch", y=label(record.metric), height=480, hovermode="closest")
    figure.update_xaxes(theme.whole_axis(frame["epoch"].max()))
    reached = [rung for rung in record.rungs if rung <= frame["epoch"].max()]
    named = len(reached) <= MAX_NAMED
    for rung in reached:
        figure.add_vline(
            x=rung,
            line={"dash": "dot", "width": 1, "color": theme.FADED},
            annotation={"text": f"rung {rung}", "font": {"size": 11}, "yanchor": "bottom"} if named else {},
            annotation_position="top",
        )
    return figure


def data(frame: pd.DataFrame, record: Record) -> Mapping[str, Any]:
    """What the page's menu can colour the lines by."""
    trials = record.trials.set_index("number", drop=False).loc[sorted(frame["number"].unique())]
    ordered = importance.most_important(record, len(record.settings))
    return {"colours": colouring.choices(record, trials, ordered)}


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say how long the trials are, and where ASHA compared them."""
    lengths = frame.groupby("number")["epoch"].max()
    faded = frame.loc[frame["outcome"] != Outcome.COMPLETED, "number"].nunique()
    rungs = f" ASHA compared them after {epochs(record.rungs)} (dotted lines)." if record.rungs else ""
    return (
        f"{len(lengths)} trials of {lengths.min()} to {lengths.max()} epochs; {faded} did not run to the end and are "
        f"faded.{rungs}"
    )
