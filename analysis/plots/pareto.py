"""The result of each trial against its training time, and the front of those that no other beats in both."""

import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.errors import Missing
from analysis.record import Record
from contract.metrics import EPOCH_SECONDS, label

TITLE = "What training time buys"
SECTION = "cost"


def prepare(record: Record) -> pd.DataFrame:
    """A row a trial with a result: number, outcome, epochs, seconds (of training and validation), value, front."""
    if record.ranked.empty or EPOCH_SECONDS not in record.curves:
        raise Missing("No trial has finished yet.")
    seconds = record.curves.groupby("run_id")[EPOCH_SECONDS].sum().rename("seconds")
    done = record.ranked.drop(columns="seconds").join(seconds, on="run_id", how="inner")
    found = done.rename(columns={record.last: "value"})[["number", "outcome", "epochs", "seconds", "value"]]
    found = found.sort_values(["seconds", "value"], ascending=[True, not record.maximize], ignore_index=True)
    best = found["value"].cummax() if record.maximize else found["value"].cummin()
    return found.assign(front=best.ne(best.shift()))


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """All trials, and a step line along the front."""
    front = frame[frame["front"]]
    hover = "trial %{customdata[0]}, %{customdata[1]} epochs: %{y:.4f} in %{x:.3g} s<extra></extra>"
    points = go.Scatter(
        x=frame["seconds"],
        y=frame["value"],
        mode="markers",
        name="a trial",
        marker={"color": theme.FADED, "size": 7},
        customdata=frame[["number", "epochs"]],
        hovertemplate=hover,
    )
    line = go.Scatter(
        x=front["seconds"],
        y=front["value"],
        mode="lines+markers",
        name="Pareto front: no trial is both faster and better",
        line={"color": theme.CATEGORIES[4], "shape": "hv", "width": 2},
        marker={"size": 8},
        customdata=front[["number", "epochs"]],
        hovertemplate=hover,
    )
    figure = theme.figure(points, line, x="seconds of training and validation", y=label(record.metric))
    figure.update_xaxes(theme.log_axis(frame["seconds"].min(), frame["seconds"].max()))
    return figure


def describe(frame: pd.DataFrame, _record: Record) -> str:
    """Say how many trials are on the front, and from where to where it goes."""
    front = frame[frame["front"]]
    first, last = front.iloc[0], front.iloc[-1]
    return (
        f"{len(front)} of {len(frame)} trials are on the Pareto front, from {first['value']:.4f} in "
        f"{first['seconds']:.3g} s (trial {first['number']}) to {last['value']:.4f} in {last['seconds']:.3g} s "
        f"(trial {last['number']})."
    )
