"""Loss, accuracy and learning rate of the best, training and validation side by side."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis import theme
from analysis.errors import Missing
from analysis.record import Record
from contract.metrics import label

TITLE = "The winner, epoch by epoch"
SECTION = "best"
MIN_WIDTH = 780
PANELS = {"loss": ("train_loss", "val_loss"), "accuracy": ("train_accuracy", "val_accuracy"), "learning rate": ("lr",)}
STYLES = {
    "train": ("training", theme.CATEGORIES[4], "dot"), "val": ("validation", theme.CATEGORIES[0], "solid"),
    "lr": ("learning rate", theme.CATEGORIES[2], "solid"),
}  # fmt: skip


def prepare(record: Record) -> pd.DataFrame:
    """A row a run, epoch and metric: seed, epoch, metric, value. Runs are the winner's, one a confirmed seed."""
    runs = record.winner.set_index("run_id")["seed"]
    metrics = [m for panel in PANELS.values() for m in panel if m in record.curves]
    found = record.curves[record.curves["run_id"].isin(runs.index)]
    if found.empty or not metrics:
        raise Missing("MLflow holds no epoch of the best runs.")
    long = found.melt(["run_id", "epoch"], metrics, "metric").dropna(subset="value")
    return long.assign(seed=long["run_id"].map(runs))[["seed", "epoch", "metric", "value"]].sort_values(
        ["metric", "seed", "epoch"], ignore_index=True
    )


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """Three panels."""
    panels = make_subplots(cols=3, horizontal_spacing=0.075)
    panels.update_layout(theme.figure(height=340).layout)
    shown: set[str] = set()
    for column, metrics in enumerate(PANELS.values(), 1):
        for (metric, seed), curve in frame[frame["metric"].isin(metrics)].groupby(["metric", "seed"]):
            name, colour, dash = STYLES[str(metric).split("_")[0]]
            trace = go.Scatter(
                x=curve["epoch"], y=curve["value"], mode="lines+markers" if len(curve) == 1 else "lines", name=name,
                legendgroup=name, showlegend=name not in shown, line={"color": colour, "dash": dash, "width": 1.8},
                hovertemplate=f"seed {seed}, epoch %{{x}}: %{{y:.4g}}<extra>{name}</extra>",
            )  # fmt: skip
            shown.add(name)
            panels.add_trace(trace, row=1, col=column)
        panels.update_yaxes(title_text=list(PANELS)[column - 1], col=column)
    rates = frame.loc[frame["metric"] == "lr", "value"]
    if (rates > 0).any():
        panels.update_yaxes(theme.log_axis(rates[rates > 0].min(), rates.max()), col=3)
    panels.update_xaxes(title_text="epoch", **theme.whole_axis(frame["epoch"].max()))
    return panels


def describe(frame: pd.DataFrame, record: Record) -> str:
    """In words."""
    seeds, lasts = frame["seed"].nunique(), frame.groupby(["metric", "seed"])["value"].last().groupby("metric").mean()
    ends = ", ".join(
        f"{label(m)} {lasts[m]:.4f}" for m in ("train_accuracy", "val_accuracy", "val_loss") if m in lasts
    )
    runs = f"{seeds} runs on fresh seeds, " if seeds > 1 else "One run, "
    mean = "mean " if seeds > 1 else ""
    return f"{runs}{frame['epoch'].max()} epochs; {mean}values at the end: {ends}."
