"""Where each trial stands on the scale of a setting and of the objective, and how such a scale is drawn."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from analysis import theme
from analysis.errors import Missing
from analysis.record import Record
from analysis.setting import Setting
from contract.metrics import label

TICKS = 6
"""About so many marks are on an axis."""
MAX_NAME_LENGTH = 14
"""Letters of a choice's name on an axis."""
MAX_STRAIGHT_LENGTH = 18
"""Letters along an axis, above which its names stand at a slant."""
JITTER = 0.25
"""How far points of one choice are moved at random, the distance between two choices being 1."""


@lru_cache(maxsize=1)
def positions(record: Record) -> pd.DataFrame:
    """Place every trial that reached the comparable epoch on the scale of each setting that varied.

    Returns:
        number, value (the objective there, a diverged trial's the worst), and `Setting.column` of each setting that
        took two values at least: the number itself of a range, the place in `ordered` of a choice, NaN where the
        trial does not have it.

    Raises:
        Missing: no trial has an epoch, or a value there.
    """
    trials = record.at(record.comparable_epoch).sort_values("number", ignore_index=True)
    if trials.empty:
        raise Missing(f"No trial has a value after epoch {record.comparable_epoch}.")
    texts: dict[str, pd.Series] = {}
    columns: dict[str, pd.Series] = {}
    for setting in record.settings:
        # A trial may hold a default where the condition is not met.
        text = trials[setting.column].map(_text, na_action="ignore")
        for key, allowed in setting.when.items():
            if (other := texts.get(key, _texts(trials, key))) is not None:
                text = text.where(other.isin([_text(value) for value in allowed]))
        texts[setting.key] = text
        place = _place(setting, text)
        if place.nunique() > 1:
            columns[setting.column] = place
    return trials[["number", "value"]].assign(**columns)


def ordered(setting: Setting) -> list[Any]:
    """The choices as they stand on an axis: numbers ascending, others as in the spec."""
    return sorted(setting.choices or ()) if setting.numeric else list(setting.choices or ())


def labels(setting: Setting, places: pd.Series) -> pd.Series:
    """Put places of `positions` into words; NaN where the setting does not exist."""
    if setting.choices is None:
        return places.map("{:.4g}".format, na_action="ignore").astype(object)
    texts = [str(choice) for choice in ordered(setting)]
    return places.map(lambda place: texts[int(place)], na_action="ignore").astype(object)


def place_of(setting: Setting, texts: pd.Series) -> pd.Series:
    """Find the places of choices on their axis from their `labels`."""
    return texts.map({str(choice): float(place) for place, choice in enumerate(ordered(setting))})


def scaled(setting: Setting, places: pd.Series) -> pd.Series:
    """Bring places of `positions` to an axis from 0 to 1, which is logarithmic where the setting is."""
    if setting.choices is not None:
        return places / (len(setting.choices) - 1)
    if setting.log:
        decades: pd.Series = np.log10(places / setting.low)
        return decades / math.log10(setting.high / setting.low)
    return (places - setting.low) / (setting.high - setting.low)


def fence(values: pd.Series, maximize: bool) -> tuple[float, float]:
    """The ends of a scale for values: those further on the bad side than three quartile distances are beyond it.

    Source: Tukey, Exploratory Data Analysis, 1977, section 2D (the outer fence).
    """
    first, third = values.quantile([0.25, 0.75])
    low, high, reach = float(values.min()), float(values.max()), 3 * float(third - first)
    if reach == 0:
        return low, high
    return (max(low, first - reach), high) if maximize else (low, min(high, third + reach))


def colours(record: Record, low: float, high: float) -> dict[str, Any]:
    """Describe the objective's colour axis for plotly: the better, the lighter."""
    return {
        "colorscale": theme.SEQUENCE,
        "reversescale": not record.maximize,
        "cmin": low,
        "cmax": high,
        "colorbar": {"title": {"text": label(record.metric), "side": "right"}, "thickness": 14},
    }


def axis(setting: Setting, about: int = TICKS) -> dict[str, Any]:
    """Describe a setting's axis, with about so many marks, for plotly."""
    marks, texts = ticks(setting, about)
    if setting.choices is not None:
        slanting = {"tickangle": -30} if sum(map(len, texts)) > MAX_STRAIGHT_LENGTH else {}
        return {"tickvals": marks, "ticktext": texts, "range": [-0.5, len(marks) - 0.5], **slanting}
    ends = [math.log10(setting.low), math.log10(setting.high)] if setting.log else [setting.low, setting.high]
    margin = (ends[1] - ends[0]) * 0.04
    return {
        "tickvals": marks,
        "ticktext": texts,
        "type": "log" if setting.log else "linear",
        "range": [ends[0] - margin, ends[1] + margin],
    }


def ticks(setting: Setting, about: int = TICKS) -> tuple[list[float], list[str]]:
    """Choose round marks along a setting's axis, in its own unit or the place of a choice, and their texts."""
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
    """Choose about so many multiples of 1, 2 or 5 times a power of ten, no nearer to each other than `smallest`."""
    rough = max((high - low) / about, smallest) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A number in short and plain writing: 0.01, 1e-3, 2.5e5."""
    if value == 0 or 0.01 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def jittered(setting: Setting, places: pd.Series, rng: np.random.Generator, by: float = JITTER) -> pd.Series:
    """Move choices a little at random, so that points do not hide each other; ranges stay as they are."""
    return places if setting.choices is None else places + rng.uniform(-by, by, len(places))


def span(key: str, values: pd.Series) -> str:
    """Say which values of a setting some trials have: the ends of numbers, the most frequent of texts."""
    have = values.dropna()
    some = f" (in {len(have)} of them)" if len(have) < len(values) else ""
    if have.empty:
        return f"no {key}"
    if pd.api.types.is_numeric_dtype(have):
        ends = dict.fromkeys(f"{end:.3g}" for end in (have.min(), have.max()))
        return f"{key} {' to '.join(ends)}{some}"
    counts = have.value_counts()
    return f"{key} {counts.index[0]} ({counts.iloc[0]} of {len(have)})"


def _place(setting: Setting, texts: pd.Series) -> pd.Series:
    if setting.choices is None:
        return pd.to_numeric(texts, errors="coerce")
    places = {_text(choice): place for place, choice in enumerate(ordered(setting))}
    return texts.map(places).astype(float)


def _texts(trials: pd.DataFrame, key: str) -> pd.Series | None:
    column = f"params.{key}"
    return trials[column].map(_text, na_action="ignore") if column in trials else None


def _text(value: Any) -> str:
    """One writing for 1, 1.0 and "1": MLflow keeps text, and the frame makes numbers of columns of numbers alone."""
    try:
        return repr(float(str(value)))
    except ValueError:
        return str(value)


def _short(text: str) -> str:
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH - 1]}…"
