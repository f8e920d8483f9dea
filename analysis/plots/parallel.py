"""All trials at once: a line a trial through one axis a setting, the objective last."""

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.errors import Missing
from analysis.importance import varied
from analysis.record import Record
from analysis.scales import colours, fence, labels, number, place_of, positions, round_marks, scaled, span, ticks
from analysis.setting import Setting
from contract.metrics import label

TITLE = "All settings together"
SECTION = "interactions"
MIN_WIDTH = 760
MAX_AXES = 10
"""Settings that are shown."""
MAX_STRAIGHT = 6
"""Axes above which the labels stand at a slant."""
NOT_SET, MARGIN, MAX_JITTER = -0.17, 0.06, 0.05
"""On an axis from 0 to 1: where trials without a conditional setting pass, what is left free at the ends, and how far
lines through one value are moved, so that their number shows."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a trial: number, a column a setting (its key), the most important last, and value.

    Choices are text, and a setting that the trial does not have is empty; value is the objective after the
    comparable epoch.
    """
    found = positions(record)
    settings = varied(record)[:MAX_AXES]
    if not settings:
        raise Missing("The trials differ in no setting.")
    columns = {s.key: found[s.column] if s.choices is None else labels(s, found[s.column]) for s in settings[::-1]}
    return pd.DataFrame({"number": found["number"], **columns, "value": found["value"]})


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """Parallel axes; drag along one to pick trials. The last axis is the scale of the colours too."""
    low, high = fence(frame["value"], record.maximize)
    free = MARGIN * (high - low or 1)
    settings = {s.key: s for s in record.settings}
    keys = list(frame.columns[1:-1])
    rng = np.random.default_rng(0)
    marks = round_marks(low, high)
    objective = {
        "label": label(record.metric),
        "values": frame["value"].clip(low, high),
        "range": [low - free, high + free],
        "tickvals": marks,
        "ticktext": [number(mark) for mark in marks],
    }
    crowded = len(keys) > MAX_STRAIGHT
    lines = go.Parcoords(
        dimensions=[*(_dimension(settings[key], frame[key], rng) for key in keys), objective],
        labelangle=-20 if crowded else 0,
        line={"color": frame["value"], "coloraxis": "coloraxis"},
    )
    figure = theme.figure(lines, height=480, coloraxis=colours(record, low, high) | {"showscale": False})
    return figure.update_layout(margin={"l": 70, "r": 70, "t": 100 if crowded else 60, "b": 30})


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say what the best tenth of the trials have in common."""
    best = frame.sort_values("value", ascending=not record.maximize).head(math.ceil(len(frame) / 10))
    keys = list(frame.columns[1:-1])[::-1]
    left = len(varied(record)) - len(keys)
    shown = f" The {len(keys)} most important settings are shown, {left} are not." if left else ""
    return (
        f"{len(frame)} trials after epoch {record.comparable_epoch}. The best tenth (n = {len(best)}): "
        f"{label(record.metric)} {best['value'].min():.4f} to {best['value'].max():.4f}; "
        f"{'; '.join(span(key, best[key]) for key in keys)}.{shown} "
        "Drag along an axis to pick trials; click it to show all again."
    )


def _dimension(setting: Setting, values: pd.Series, rng: np.random.Generator) -> dict[str, Any]:
    marks, texts = ticks(setting)
    places = values if setting.choices is None else place_of(setting, values)
    at, without = scaled(setting, pd.Series(marks)).tolist(), places.isna()
    if without.any():
        at, texts = [NOT_SET, *at], ["not set", *texts]
    shown = scaled(setting, places).mask(without, NOT_SET)
    apart = np.diff(np.unique(shown)).min(initial=1.0)
    several = setting.choices is not None or setting.integer
    by = np.where(without, MAX_JITTER, min(MAX_JITTER, apart / 4) if several else 0)
    return {
        "label": setting.key,
        "values": shown + by * rng.uniform(-1, 1, len(shown)),
        "range": [min(at[0], 0) - MARGIN, 1 + MARGIN],
        "tickvals": at,
        "ticktext": texts,
    }
