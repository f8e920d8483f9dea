"""All trials at once: a line a trial through one axis a setting, the objective last."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.errors import Missing
from analysis.importance import most_important, ordered, positions
from analysis.record import Record, Setting

TITLE = "Settings together"
SECTION = "interactions"
MIN_WIDTH = 760
AXES = 10
TICKS, LETTERS = 6, 14
"""Marks on an axis, about, and letters of a choice's name there."""
NOT_SET, MARGIN, STREWN = -0.17, 0.06, 0.05
"""On an axis from 0 to 1: where trials without a conditional setting pass, what is left free at the ends, and how far
lines through one value are strewn at the most, so that their number shows."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a trial: number, a column a setting (its key), the most important last, and value.

    Choices are text, and a setting that the trial does not have is empty; value is the objective after the
    comparable epoch.
    """
    found = positions(record)
    settings = varied(record, found)[:AXES]
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
        "label": theme.label(record.metric), "values": frame["value"].clip(low, high),
        "range": [low - free, high + free],
        "tickvals": marks, "ticktext": [number(mark) for mark in marks],
    }  # fmt: skip
    crowded = len(keys) > 6
    lines = go.Parcoords(
        dimensions=[*(_dimension(settings[key], frame[key], rng) for key in keys), objective],
        labelangle=-20 if crowded else 0, line={"color": frame["value"], "coloraxis": "coloraxis"},
    )  # fmt: skip
    made = theme.figure(lines, height=480, coloraxis=colours(record, low, high) | {"showscale": False})
    return made.update_layout(margin={"l": 70, "r": 70, "t": 100 if crowded else 60, "b": 30})


def describe(frame: pd.DataFrame, record: Record) -> str:
    """In words."""
    best = frame.sort_values("value", ascending=not record.maximize).head(math.ceil(len(frame) / 10))
    keys = list(frame.columns[1:-1])[::-1]
    left = len(varied(record, positions(record))) - len(keys)
    shown = f" The {len(keys)} most important settings are shown, {left} are not." if left else ""
    return (
        f"{len(frame)} trials after epoch {record.comparable_epoch}. The best tenth ({len(best)}) have "
        f"{theme.label(record.metric)} {best['value'].min():.4f} to {best['value'].max():.4f} and "
        f"{'; '.join(span(key, best[key]) for key in keys)}.{shown}"
    )


def varied(record: Record, found: pd.DataFrame) -> list[Setting]:
    """The settings of which the trials had two values at least, the most important first."""
    return [s for s in most_important(record, len(record.settings)) if s.column in found]


def labels(setting: Setting, places: pd.Series) -> pd.Series:
    """Places of `positions` in words; NaN where the setting does not exist."""
    if setting.choices is None:
        return places.map("{:.4g}".format, na_action="ignore").astype(object)
    texts = [str(choice) for choice in ordered(setting)]
    return places.map(lambda place: texts[int(place)], na_action="ignore").astype(object)


def place_of(setting: Setting, texts: pd.Series) -> pd.Series:
    """Places of choices on their axis, from `labels`."""
    return texts.map({str(choice): float(place) for place, choice in enumerate(ordered(setting))})


def fence(values: pd.Series, maximize: bool) -> tuple[float, float]:
    """The values worth a scale: all but those further on the bad side than three times the quartiles' distance.

    Source: Tukey, Exploratory Data Analysis, 1977, section 2D (the outer fence).
    """
    first, third = values.quantile([0.25, 0.75])
    low, high, reach = float(values.min()), float(values.max()), 3 * float(third - first)
    if reach == 0:
        return low, high
    return (max(low, first - reach), high) if maximize else (low, min(high, third + reach))


def colours(record: Record, low: float, high: float) -> dict:
    """The objective's colour axis: the better, the lighter."""
    return {
        "colorscale": theme.SEQUENCE, "reversescale": not record.maximize, "cmin": low, "cmax": high,
        "colorbar": {"title": {"text": theme.label(record.metric), "side": "right"}, "thickness": 14},
    }  # fmt: skip


def ticks(setting: Setting, about: int = TICKS) -> tuple[list[float], list[str]]:
    """Round marks along a setting's axis, in its own unit or the place of a choice, and how they read."""
    if setting.choices is not None:
        return [float(place) for place in range(len(setting.choices))], [
            _short(str(choice)) for choice in ordered(setting)
        ]
    low, high = setting.low, setting.high
    if setting.log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        mantissas = (1, 2, 5) if high / low < 100 else (1,)
        marks = [m * 10.0**decade for decade in decades[:: math.ceil(len(decades) / (about + 1))] for m in mantissas]
    else:
        marks = round_marks(low, high, about, 1 if setting.integer else 0)
    marks = [m for m in marks if low < m < high or math.isclose(m, low) or math.isclose(m, high)]
    marks = marks or [low, high]
    return marks, [number(mark) for mark in marks]


def round_marks(low: float, high: float, about: int = TICKS, smallest: float = 0) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about so many, no nearer to each other than `smallest`."""
    rough = max((high - low) / about, smallest) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """Short and plain: 0.01, 1e-3, 2.5e5."""
    if value == 0 or 0.01 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def scaled(setting: Setting, places: pd.Series) -> pd.Series:
    """Places of `positions` on an axis from 0 to 1, logarithmic where the setting is."""
    if setting.choices is not None:
        return places / (len(setting.choices) - 1)
    if setting.log:
        return np.log10(places / setting.low) / math.log10(setting.high / setting.low)
    return (places - setting.low) / (setting.high - setting.low)


def span(key: str, values: pd.Series) -> str:
    """Which values of a setting some trials have, in words: the ends of numbers, the most frequent of texts."""
    have = values.dropna()
    some = f" (in {len(have)} of them)" if len(have) < len(values) else ""
    if have.empty:
        return f"no {key}"
    if pd.api.types.is_numeric_dtype(have):
        ends = dict.fromkeys(f"{end:.3g}" for end in (have.min(), have.max()))
        return f"{key} {' to '.join(ends)}{some}"
    counts = have.value_counts()
    return f"{key} {counts.index[0]} in {counts.iloc[0]}{some}"


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _dimension(setting: Setting, values: pd.Series, rng: np.random.Generator) -> dict:
    marks, texts = ticks(setting)
    places = values if setting.choices is None else place_of(setting, values)
    at, without = scaled(setting, pd.Series(marks)).tolist(), places.isna()
    if without.any():
        at, texts = [NOT_SET, *at], ["not set", *texts]
    shown = scaled(setting, places).mask(without, NOT_SET)
    apart = np.diff(np.unique(shown)).min(initial=1.0)
    several = setting.choices is not None or setting.integer
    by = np.where(without, STREWN, min(STREWN, apart / 4) if several else 0)
    return {
        "label": setting.key, "values": shown + by * rng.uniform(-1, 1, len(shown)),
        "range": [min(at[0], 0) - MARGIN, 1 + MARGIN], "tickvals": at, "ticktext": texts,
    }  # fmt: skip
