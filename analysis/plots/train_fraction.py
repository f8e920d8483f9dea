"""How much training data the task needs: the objective against the part of the training set that was used."""

import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.errors import Missing
from analysis.record import Record
from contract.metrics import label
from contract.outcomes import Outcome

TITLE = "How much data it needs"
SECTION = "train_fraction"


def prepare(record: Record) -> pd.DataFrame:
    """A row a completed trial: number, model, fraction, value, and its fraction's mean, sd and n."""
    column = "params.train_fraction"
    if record.trials.empty or record.trials[column].nunique() < 2:
        used = record.trials[column].iloc[0] if len(record.trials) else 1.0
        raise Missing(
            f"Every trial used the same part of the training images (train_fraction {used:g}): search over it to see "
            "how much data the task needs."
        )
    done = record.ranked[record.ranked["outcome"] == Outcome.COMPLETED]
    if done[column].nunique() < 2:
        raise Missing("Only trials with one and the same train_fraction were trained to the end.")
    found = done.rename(columns={column: "fraction", "params.model": "model", record.last: "value"})
    found = found[["number", "model", "fraction", "value"]].sort_values(
        ["model", "fraction", "number"], ignore_index=True
    )
    groups = found.groupby(["model", "fraction"])["value"]
    return found.assign(mean=groups.transform("mean"), sd=groups.transform("std"), n=groups.transform("size"))


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """Points, and a line through the means; each model has a colour."""
    traces = []
    for model, colour in theme.colour_of(frame["model"].tolist()).items():
        own = frame[frame["model"] == model]
        means = own.drop_duplicates("fraction")
        traces += [
            go.Scatter(
                x=own["fraction"],
                y=own["value"],
                mode="markers",
                showlegend=False,
                opacity=0.45,
                marker={"color": colour, "size": 7},
                customdata=own["number"],
                hovertemplate="trial %{customdata}: %{y:.4f} with %{x:.3g} of the images<extra></extra>",
            ),
            go.Scatter(
                x=means["fraction"],
                y=means["mean"],
                mode="lines+markers",
                name=f"{model}, mean",
                line={"color": colour, "width": 2},
                error_y={"array": means["sd"].fillna(0), "thickness": 1.2, "width": 5},
                customdata=means["n"],
                hovertemplate="mean of %{customdata}: %{y:.4f}<extra></extra>",
            ),
        ]
    figure = theme.figure(*traces, x="part of the training images", y=label(record.metric))
    ticks = frame["fraction"].unique()
    figure.update_xaxes(
        type="log", **({"tickvals": ticks, "ticktext": [f"{100 * t:g} %" for t in ticks]} if len(ticks) < 9 else {})
    )
    return figure


def describe(frame: pd.DataFrame, _record: Record) -> str:
    """Say what the objective is with the smallest and the largest fraction."""
    parts = []
    for model, own in frame.groupby("model"):
        smallest, largest = own.iloc[0], own.iloc[-1]
        parts.append(
            f"{model}: {smallest['mean']:.4f} (n = {smallest['n']}) with {100 * smallest['fraction']:g} % of the "
            f"training images, {largest['mean']:.4f} (n = {largest['n']}) with {100 * largest['fraction']:g} %"
        )
    return f"Completed trials; bars are standard deviations. {'; '.join(parts)}."
