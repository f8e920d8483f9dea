"""The objective against each setting alone."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis import theme
from analysis.errors import Missing
from analysis.importance import varied
from analysis.record import Record
from analysis.scales import axis, fence, jittered, labels, positions, ticks
from analysis.setting import Setting
from contract.metrics import label

TITLE = "The effect of each setting"
SECTION = "settings"
MIN_WIDTH = 640
MAX_PANELS = 12
"""Settings that are shown."""
PANEL_PX = 190
"""The height of a panel."""
MARKS = 5
"""About so many marks are on an axis."""
MAX_DISTINCT = 12
"""Values of a whole number that have a median each; ranges with more of them are put into bins."""
MAX_BINS, MIN_IN_BIN = 10, 8
"""Bins of a range, and trials in each of them."""
STROKE = 0.32
"""Half the length of the median's line, the distance between two choices being 1."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a setting and trial that has it, and a row a point of the running median; the most important first.

    Returns:
        setting (key), kind (trial or median), number (the trial's), x (the number itself of a range, the place on
        the axis of a choice), label (x in words), value (the objective after the comparable epoch), n (trials
        behind it).
    """
    found = positions(record)
    settings = varied(record)[:MAX_PANELS]
    if not settings:
        raise Missing("The trials differ in no setting.")
    return pd.concat([_rows(setting, found) for setting in settings], ignore_index=True)


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """A panel a setting, two or three side by side, all with the same axis of values."""
    settings = {s.key: s for s in record.settings}
    groups = frame.groupby("setting", sort=False)
    wide = 3 if len(groups) > 4 else min(2, len(groups))
    rows = math.ceil(len(groups) / wide)
    names = [text for key, _ in groups if settings[str(key)].choices for text in ticks(settings[str(key)])[1]]
    between = 55 + 3 * max(map(len, names), default=0)  # room for slanting names
    inner = PANEL_PX * rows + between * (rows - 1)
    panels = make_subplots(
        rows,
        wide,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[str(key) for key, _ in groups],
        vertical_spacing=between / inner if rows > 1 else 0,
    )
    margin = {"t": 70, "b": between}
    panels.update_layout(theme.figure(height=inner + sum(margin.values())).layout, margin=margin)
    panels.update_layout(legend_y=1 + 30 / inner)
    panels.update_annotations(font_size=13)
    low, high = fence(frame.loc[frame["kind"] == "trial", "value"], record.maximize)
    rng, named = np.random.default_rng(0), set[str]()
    for place, (key, group) in enumerate(groups):
        setting, at = settings[str(key)], {"row": place // wide + 1, "col": place % wide + 1}
        points = _points(setting, group[group["kind"] == "trial"], low, high, rng)
        for trace in (points, _medians(setting, group[group["kind"] == "median"])):
            new = len(trace.x) > 0 and trace.name not in named
            named |= {trace.name} if new else set()
            panels.add_trace(trace.update(showlegend=new), **at)
        panels.update_xaxes(**axis(setting, MARKS), **at)
    free = (high - low or 1) * 0.06
    panels.update_yaxes(range=[low - free, high + free])
    panels.update_yaxes(title_text=label(record.metric), col=1)
    return panels


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say which values of each setting have the best and the worst median."""
    trials = frame[frame["kind"] == "trial"]
    medians = frame[frame["kind"] == "median"].sort_values("value", ascending=not record.maximize, kind="stable")
    found = [
        f"{key} {_median(group.iloc[0])} and {_median(group.iloc[-1])}"
        for key in frame["setting"].unique()
        if len(group := medians[medians["setting"] == key]) > 1
    ]
    low, high = fence(trials["value"], record.maximize)
    beyond = trials.loc[~trials["value"].between(low, high), "number"].nunique()
    left = len(varied(record)) - frame["setting"].nunique()
    parts = (
        f"{trials['number'].nunique()} trials after epoch {record.comparable_epoch}.",
        f"Best and worst median of the {label(record.metric)}: {'; '.join(found)}." if found else "",
        f"Beyond the poor end of the axis, and drawn as triangles at its edge: {beyond}." if beyond else "",
        f"The {MAX_PANELS} most important settings are shown, {left} are not." if left else "",
    )
    return " ".join(part for part in parts if part)


def _median(row: pd.Series) -> str:
    return f"{row['value']:.4f} at {row['label']} (n = {row['n']})"


def _rows(setting: Setting, found: pd.DataFrame) -> pd.DataFrame:
    have = found.dropna(subset=setting.column).rename(columns={setting.column: "x"})
    trials = have[["number", "x", "value"]].assign(kind="trial", n=1).astype({"number": "Int64"})
    medians = pd.DataFrame(
        [
            {"x": part["x"].median(), "value": part["value"].median(), "kind": "median", "n": len(part)}
            for part in _parts(setting, have)
        ],
        columns=["number", "x", "value", "kind", "n"],
    ).astype({"number": "Int64"})
    rows = pd.concat([trials, medians], ignore_index=True)
    rows = rows.assign(setting=setting.key, label=labels(setting, rows["x"]))
    return rows[["setting", "kind", "number", "x", "label", "value", "n"]]


def _parts(setting: Setting, have: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """One part for each of few values, else parts of equally many trials; none where parts would be too small."""
    if setting.choices is not None or (setting.integer and have["x"].nunique() <= MAX_DISTINCT):
        yield from (part for _, part in have.groupby("x"))
        return
    bins = min(MAX_BINS, len(have) // MIN_IN_BIN)
    if bins > 1:
        sorted_ = have.sort_values("x", kind="stable")
        yield from (sorted_.iloc[places] for places in np.array_split(np.arange(len(have)), bins))


def _points(setting: Setting, trials: pd.DataFrame, low: float, high: float, rng: np.random.Generator) -> go.Scatter:
    """Draw the trials; what lies beyond the axis is a triangle at its edge."""
    shown = trials["value"].clip(low, high)
    symbols = np.select([trials["value"] < low, trials["value"] > high], ["triangle-down", "triangle-up"], "circle")
    return go.Scatter(
        x=jittered(setting, trials["x"], rng),
        y=shown,
        mode="markers",
        name="a trial",
        legendgroup="trial",
        marker={"color": theme.FADED, "size": 6, "symbol": symbols},
        customdata=trials[["number", "label", "value"]],
        hovertemplate=f"trial %{{customdata[0]}}: %{{customdata[2]:.4f}}<br>{setting.key} %{{customdata[1]}}"
        "<extra></extra>",
    )


def _medians(setting: Setting, medians: pd.DataFrame) -> go.Scatter:
    x, y, text = medians["x"].tolist(), medians["value"].tolist(), medians["label"].tolist()
    if setting.choices is not None:
        x = [at for place in x for at in (place - STROKE, place + STROKE, None)]
        y, text = ([item for item in column for _ in range(3)] for column in (y, text))
    return go.Scatter(
        x=x,
        y=y,
        text=text,
        mode="lines",
        name="median",
        legendgroup="median",
        line={"color": theme.ACCENT, "width": 3},
        hovertemplate="median %{y:.4f} at %{text}<extra></extra>",
    )
