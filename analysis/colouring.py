"""What trials can be coloured by: each setting, and how they ended."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis import theme
from analysis.record import Record
from analysis.setting import Setting
from contract.metrics import label

NOT_SET = "#888888"
"""The colour of a trial that does not have the setting."""
STOPS = 5
"""Entries in the legend of a scale."""


def choices(record: Record, trials: pd.DataFrame, settings: Sequence[Setting]) -> list[Mapping[str, Any]]:
    """One entry for each thing to colour by, for the page's script.

    Args:
        record: the search.
        trials: rows of `record.trials`, in the order of what is coloured.
        settings: the settings to colour by, in the order of the menu.

    Returns:
        `name`, `colours` (one a trial) and `legend` (pairs of a colour and what it stands for).
    """
    found = [_setting(setting, trials[setting.column]) for setting in settings]
    if record.last in trials:
        found.append(_scale(label(record.metric), trials[record.last], log=False))
    return [*found, _categories("outcome", trials["outcome"])]


def _setting(setting: Setting, values: pd.Series) -> Mapping[str, Any]:
    if setting.choices is None or (setting.numeric and len(setting.choices) > len(theme.CATEGORIES)):
        return _scale(setting.key, values, log=setting.log)
    return _categories(setting.key, values, [str(choice) for choice in setting.choices])


def _categories(name: str, values: pd.Series, order: Sequence[str] = ()) -> Mapping[str, Any]:
    texts = [None if pd.isna(value) else _text(value) for value in values]
    present = {text for text in texts if text is not None}
    known = [_text(value) for value in order if _text(value) in present]
    colours = theme.colour_of([*known, *sorted(present - set(known))])
    legend = [(colour, text) for text, colour in colours.items()]
    return _entry(name, [NOT_SET if text is None else colours[text] for text in texts], legend)


def _scale(name: str, values: pd.Series, *, log: bool) -> Mapping[str, Any]:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
    scaled = np.log10(numbers) if log else numbers
    low, high = (np.nanmin(scaled), np.nanmax(scaled)) if np.isfinite(scaled).any() else (0.0, 1.0)
    place = (scaled - low) / (high - low or 1)
    colours = [NOT_SET if np.isnan(p) else theme.shade(p) for p in place]
    marks = np.linspace(low, high, STOPS if high > low else 1)
    legend = [(theme.shade((m - low) / (high - low or 1)), f"{10**m if log else m:.3g}") for m in marks]
    return _entry(name, colours, legend)


def _entry(name: str, colours: list[str], legend: list[tuple[str, str]]) -> Mapping[str, Any]:
    without = [(NOT_SET, "not set")] if NOT_SET in colours and all(colour != NOT_SET for colour, _ in legend) else []
    return {"name": name, "colours": colours, "legend": [*legend, *without]}


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
