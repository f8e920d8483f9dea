"""A comparison's differences with their intervals, and accuracy against time: numbers, drawing, words."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.comparison.contenders import Contender
from analysis.comparison.lines import Colours
from analysis.comparison.tables import cost
from analysis.errors import Missing
from analysis.statistics import signed, unit
from contract.formatting import amount
from contract.metrics import TEST_ACCURACY, label

ROW_PX = 62
"""The height of a pair in the figure of differences."""
WIDE_PX = 3
"""Lines wider than this are drawn pale, to show the thin ones on them."""


def prepare_differences(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of one measure of `tables.differences`, in percentage points if it is an accuracy.

    Raises:
        Missing: no pair has it.
    """
    found = frame[frame["measure"] == measure].reset_index(drop=True)
    if found.empty:
        raise Missing(f"No two contenders have a {label(measure)}.")
    numbers = ["difference", "t_low", "t_high", "bootstrap_low", "bootstrap_high"]
    return found.assign(**(found[numbers] * (100 if unit(measure) else 1)))


def draw_differences(frame: pd.DataFrame) -> go.Figure:
    """A row a pair: the difference, a thick line for the bootstrap interval, a thin one for the t interval."""
    measure = frame["measure"].iloc[0]
    rows = list(range(len(frame)))
    traces = [_intervals(frame, "t", 1.5), _intervals(frame, "bootstrap", 6)]
    traces.append(
        go.Scatter(
            x=frame["difference"],
            y=rows,
            mode="markers",
            name="difference",
            text=frame["verdict"],
            marker={"size": 12, "color": theme.ACCENT, "symbol": "diamond"},
            hovertemplate="%{x:+.4g}<br>%{text}<extra></extra>",
        )
    )
    title = unit(measure) or f"difference of {label(measure)}"
    figure = theme.figure(*traces, x=title, height=130 + ROW_PX * len(frame)).update_layout(margin_l=20)
    figure.update_yaxes(range=[len(frame) - 0.5, -0.75], showticklabels=False, showgrid=False, zeroline=False)
    figure.add_vline(x=0, line={"width": 1.5, "dash": "dash", "color": "#888888"})
    figure.update_xaxes(range=_range(frame))
    texts = frame["a"] + " against " + frame["against"] + ": " + frame["verdict"].str.partition(",")[0]
    for row, text in enumerate(texts):  # in the panel, for beside it names take a phone's whole width
        figure.add_annotation(
            text=text, x=0, xref="paper", y=row - 0.32, xanchor="left", yanchor="middle", showarrow=False
        )
    return figure


def describe_differences(frame: pd.DataFrame) -> str:
    """Say how large each difference is, with its verdict."""
    measure = frame["measure"].iloc[0]
    scale = 100 if unit(measure) else 1
    said = "; ".join(
        f"{row['a']} against {row['against']} {signed(measure, row['difference'] / scale)} ({row['verdict']})"
        for row in frame.to_dict("records")
    )
    of = f", in {unit(measure)}" if unit(measure) else ""
    return f"Difference of {label(measure)}{of}: {said}. Dashed: no difference."


def prepare_cost(contenders: Sequence[Contender], metric: str) -> pd.DataFrame:
    """A row a contender: contender, n, train_seconds, measure, and the measure's mean and sd.

    The measure is the test accuracy where all have it, else the metric.

    Raises:
        Missing: no run reported the seconds of its epochs.
    """
    measure = metric if any(c.values(TEST_ACCURACY).empty for c in contenders) else TEST_ACCURACY
    rows = []
    for c in contenders:
        values = c.values(measure)
        rows.append([c.name, len(values), cost(c)["train_seconds"], measure, values.mean(), values.std()])
    frame = pd.DataFrame(rows, columns=["contender", "n", "train_seconds", "measure", "mean", "sd"])
    frame = frame.dropna(subset=["train_seconds", "mean"])
    if frame.empty:
        raise Missing("These runs did not report the seconds of their epochs.")
    return frame


def draw_cost(frame: pd.DataFrame, colours: Colours) -> go.Figure:
    """A point a contender, with its standard deviation."""
    points = [
        go.Scatter(
            x=[row["train_seconds"]],
            y=[row["mean"]],
            mode="markers",
            name=row["contender"],
            error_y={"array": [row["sd"]], "width": 6, "visible": row["n"] > 1},
            marker={"size": 12, "color": colours[str(row["contender"])]},
            hovertemplate="%{x:.4g} s: %{y:.4f}",
        )
        for row in frame.to_dict("records")
    ]
    figure = theme.figure(*points, x="seconds of one training", y=label(frame["measure"].iloc[0]), showlegend=True)
    wide = frame["train_seconds"].max() > 10 * frame["train_seconds"].min() > 0
    seconds = frame["train_seconds"].min(), frame["train_seconds"].max()
    return figure.update_xaxes(theme.log_axis(*seconds) if wide else {"rangemode": "tozero"})


def describe_cost(frame: pd.DataFrame) -> str:
    """Say what each contender reached, and in what time."""
    measure = frame["measure"].iloc[0]
    said = "; ".join(
        f"{row['contender']} {amount(measure, row['mean'], row['sd'])} in {row['train_seconds']:.3g} s"
        for row in frame.to_dict("records")
    )
    spread = " ± and the vertical lines are standard deviations over seeds." if frame["n"].max() > 1 else ""
    return f"{label(measure).capitalize()} and seconds of one training with its validation: {said}.{spread}"


def _intervals(frame: pd.DataFrame, name: str, width: float) -> go.Scatter:
    """A line from end to end for each row."""
    low, high = frame[f"{name}_low"], frame[f"{name}_high"]
    x = [end for pair in zip(low, high, strict=True) for end in (*pair, None)]
    y = [value for row in range(len(frame)) for value in (row, row, None)]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        name=f"95 % {name} interval",
        line={"width": width, "color": theme.ACCENT},
        opacity=0.55 if width > WIDE_PX else 1,
        hoverinfo="skip",
    )


def _range(frame: pd.DataFrame) -> list[float]:
    """The range of the axis: from end to end of the intervals, with zero and a margin."""
    ends = pd.concat([frame["difference"], frame["t_low"], frame["t_high"], pd.Series([0.0])])
    margin = 0.08 * (ends.max() - ends.min()) or 1
    return [ends.min() - margin, ends.max() + margin]
