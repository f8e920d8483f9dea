"""The time and memory of an epoch, by what they depend on most: model, batch size and train fraction."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis import theme
from analysis.errors import Missing
from analysis.record import Record
from contract.metrics import EPOCH_SECONDS, IMAGES_PER_SECOND, PEAK_MEMORY_MB, label

TITLE = "Time and memory"
SECTION = "cost"
MIN_WIDTH = 700
KEYS = ("model", "batch_size", "train_fraction")
MEASURES = (EPOCH_SECONDS, IMAGES_PER_SECOND, PEAK_MEMORY_MB)
MAX_DISTINCT = 6
"""Values of a setting that are shown one by one; more of them are put into ranges."""
MAX_GROUPS = 24
"""Groups that are drawn."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a group of similar trials: group, n (trials), and median, low and high (quartiles) of each measure."""
    measures = [m for m in MEASURES if m in record.curves]
    if not measures:
        raise Missing("No trial has reported its time or memory.")
    medians = record.curves.groupby("run_id")[measures].median().dropna(how="all")
    trials = record.trials.set_index("run_id").join(medians, how="inner")
    if trials.empty:
        raise Missing("No trial has finished an epoch yet.")
    varied = [key for key in KEYS if trials[f"params.{key}"].nunique() > 1]
    names = pd.DataFrame({key: key + " " + _grouped(trials[f"params.{key}"]) for key in varied}, trials.index)
    group = names.agg(", ".join, axis=1) if varied else pd.Series("all trials", trials.index)
    rows = []
    for name, members in trials.groupby(group, sort=False):
        row = {"group": name, "n": len(members)}
        for measure in measures:
            quartiles = members[measure].quantile([0.25, 0.5, 0.75]).tolist()
            row |= dict(zip((f"{measure}_low", measure, f"{measure}_high"), quartiles, strict=True))
        rows.append(row)
    found = pd.DataFrame(rows).sort_values("n", ascending=False).head(MAX_GROUPS)
    return found.sort_values(measures[0], ignore_index=True)


def draw(frame: pd.DataFrame, _record: Record) -> go.Figure:
    """A panel a measure, a line a group: the median and the quartiles."""
    measures = [m for m in MEASURES if m in frame]
    panels = make_subplots(cols=len(measures), shared_yaxes=True, horizontal_spacing=0.03)
    panels.update_layout(theme.figure(height=150 + 26 * len(frame), showlegend=False).layout)
    for column, measure in enumerate(measures, 1):
        error = {
            "array": frame[f"{measure}_high"] - frame[measure],
            "arrayminus": frame[measure] - frame[f"{measure}_low"],
            "thickness": 1.5,
            "width": 4,
        }
        points = go.Scatter(
            x=frame[measure],
            y=frame["group"],
            mode="markers",
            error_x=error,
            customdata=frame["n"],
            marker={"color": theme.CATEGORIES[column - 1], "size": 9},
            hovertemplate="%{y}: %{x:.4g} (%{customdata} trials)<extra></extra>",
        )
        panels.add_trace(points, row=1, col=column)
        panels.update_xaxes(title_text=label(measure), rangemode="tozero", nticks=5, col=column)
    panels.update_yaxes(type="category")
    return panels


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say how much longer the slowest group takes than the fastest."""
    shared = f"Medians and quartiles over trials, measured while the search ran ({record.description['resources']})."
    if len(frame) == 1 or EPOCH_SECONDS not in frame:
        return shared
    fast, slow = frame.iloc[frame[EPOCH_SECONDS].argmin()], frame.iloc[frame[EPOCH_SECONDS].argmax()]
    ratio = slow[EPOCH_SECONDS] / fast[EPOCH_SECONDS]
    return f"{shared} An epoch with {slow['group']} took {ratio:.1f} times as long as one with {fast['group']}."


def _grouped(values: pd.Series) -> pd.Series:
    if values.nunique() <= MAX_DISTINCT or not pd.api.types.is_numeric_dtype(values):
        return values.map(lambda value: f"{value:g}" if isinstance(value, int | float) else str(value))
    ranges = pd.qcut(values, 4, duplicates="drop")
    return ranges.map(lambda range_: f"{range_.left:.3g} to {range_.right:.3g}").astype(str)
