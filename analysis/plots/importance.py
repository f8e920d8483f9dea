"""How much each setting mattered, with its uncertainty."""

import math

import pandas as pd
import plotly.graph_objects as go

from analysis import importance, theme
from analysis.record import Record

TITLE = "Importance of each setting"
SECTION = "settings"


def prepare(record: Record) -> pd.DataFrame:
    """A row a setting, the most important first: setting, importance, low, high, chance, n."""
    return importance.importances(record)


def draw(frame: pd.DataFrame, _record: Record) -> go.Figure:
    """A point and an interval for each setting; a grey stroke shows what chance alone can reach."""
    points = go.Scatter(
        x=frame["importance"],
        y=frame["setting"],
        mode="markers",
        name="importance and 5 to 95 % interval",
        marker={"color": theme.ACCENT, "size": 11},
        customdata=frame[["low", "high", "n"]],
        error_x={
            "array": frame["high"] - frame["importance"],
            "arrayminus": frame["importance"] - frame["low"],
            "color": theme.ACCENT,
            "thickness": 2,
            "width": 6,
        },
        hovertemplate="%{y}: %{x:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f}), "
        "%{customdata[2]} trials<extra></extra>",
    )
    chance = go.Scatter(
        x=frame["chance"].clip(upper=1),
        y=frame["setting"],
        mode="markers",
        name="what chance can reach",
        marker={"symbol": "line-ns-open", "color": theme.CATEGORIES[-1], "size": 18, "line": {"width": 2}},
        hovertemplate="by chance up to %{x:.2f}<extra></extra>",
    )
    figure = theme.figure(points, chance, x="importance (all sum to 1)", height=130 + 34 * len(frame))
    figure.update_xaxes(range=[-0.03, 1.04])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say how important each setting is, and how certain the order is."""
    epoch = record.comparable_epoch
    trials = len(record.at(epoch))
    best = math.ceil(importance.target_quantile(trials) * trials)
    listed = ", ".join(f"{s} {i:.2f} ({a:.2f} to {b:.2f})" for s, i, a, b in frame.iloc[:, :4].itertuples(index=False))
    first, others = frame.iloc[0], frame.iloc[1:]
    close = others.loc[others["high"] >= first["low"], "setting"].tolist()
    if close:
        order = f"The interval of {first['setting']} overlaps that of {', '.join(close)}: their order is not certain."
    else:
        order = f"The interval of {first['setting']} lies above all others."
    weak = frame.loc[frame["importance"] <= frame["chance"], "setting"].tolist()
    chance = f" No more than chance alone can reach: {', '.join(weak)}." if weak else ""
    return (
        f"What put a trial among the best {best} of {trials} after epoch {epoch} (PED-ANOVA; in brackets 5 to 95 % of "
        f"{importance.RESAMPLES} resamples of the trials): {listed}. {order}{chance}"
    )
