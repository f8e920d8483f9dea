"""The best value so far, over trials and over time."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis import theme
from analysis.errors import Missing
from analysis.record import Record
from contract.formatting import duration
from contract.metrics import label
from contract.outcomes import Outcome

TITLE = "Over trials and over time"
SECTION = "progress"
MIN_WIDTH = 560


def prepare(record: Record) -> pd.DataFrame:
    """A row a trial with a result, as they ended: number, minutes, value, outcome, finished (from 1), best."""
    done = record.ranked
    if done.empty:
        raise Missing("No trial has finished yet.")
    ended = done["started"] + done["seconds"]
    found = pd.DataFrame(
        {
            "number": done["number"],
            "minutes": (ended - record.trials["started"].min()) / 60,
            "value": done[record.last],
            "outcome": done["outcome"],
        }
    ).sort_values("minutes", ignore_index=True)
    best = found["value"].cummax() if record.maximize else found["value"].cummin()
    return found.assign(finished=found.index + 1, best=best)


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """Two panels that share the value's axis."""
    panels = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.03)
    shown = theme.figure(height=360)
    panels.update_layout(shown.layout)
    symbols = frame["outcome"].map({Outcome.COMPLETED: "circle", Outcome.STOPPED: "circle-open"})
    for column, x in enumerate(("finished", "minutes"), 1):
        points = go.Scatter(
            x=frame[x],
            y=frame["value"],
            mode="markers",
            name="a trial's last value",
            legendgroup="trial",
            showlegend=column == 1,
            marker={"color": theme.FADED, "symbol": symbols, "size": 6},
            customdata=frame["number"],
            hovertemplate="trial %{customdata}: %{y:.4f}<extra></extra>",
        )
        line = go.Scatter(
            x=frame[x],
            y=frame["best"],
            mode="lines",
            name="best so far",
            legendgroup="best",
            hoverinfo="skip",
            showlegend=column == 1,
            line={"color": theme.ACCENT, "shape": "hv", "width": 2.5},
        )
        panels.add_traces([points, line], rows=1, cols=column)
    panels.update_xaxes(title_text="trials finished", **theme.whole_axis(len(frame)), col=1)
    panels.update_xaxes(title_text="minutes since the start", col=2)
    panels.update_yaxes(title_text=label(record.metric), col=1)
    return panels


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say which trial is the best, and when it came."""
    last = frame["best"].ne(frame["best"].shift()).to_numpy().nonzero()[0][-1]
    row = frame.loc[last]
    return (
        f"{len(frame)} trials have a result. The best, trial {row['number']} with {label(record.metric)} "
        f"{row['best']:.4f}, was number {row['finished']} to finish, "
        f"{duration(60 * row['minutes'])} after the start. Open circles: stopped early."
    )
