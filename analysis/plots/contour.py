"""The two settings that matter most, together."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from analysis import scales, theme
from analysis.errors import Missing
from analysis.importance import varied
from analysis.record import MIN_TRIALS, Record
from analysis.setting import Setting
from contract.metrics import label

TITLE = "Two settings together"
SECTION = "interactions"
MAX_FITTED = 300
"""Trials that the surface is fitted to; its time grows with their cube."""
GRID = 40
"""Points on each side of the surface."""
MAX_DISTANCE = 0.12
"""How far from a point of the surface the nearest trial may be, the ranges of both settings having length 1."""
RING = "#c6ccd2"
"""The colour of the ring around each point, which shows it on a surface of its own colour."""
SURFACE_JITTER = 0.1
"""How far points of one choice are moved over a surface, the distance between two choices being 1."""
Array = np.ndarray[Any, Any]


def prepare(record: Record) -> pd.DataFrame:
    """A row a trial that has both settings, and a row a point of the surface.

    The surface is the mean of a Gaussian process (Matern 5/2 with a length a setting, and white noise) over ranges
    scaled to 1, logarithmic where the setting is, with values beyond the fence moved onto it. There is none where a
    setting is no number, where no trial is near, or over fewer than 20 trials.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1.

    Returns:
        kind (trial or surface), number (the trial's), a column each for both settings, the more important first,
        named by key (choices that are no numbers are text), and value (the objective after the comparable epoch).
    """
    found = scales.positions(record)
    settings = varied(record)
    if len(settings) < 2:
        raise Missing("Fewer than two settings were varied: there is nothing to see together.")
    first = settings[0]
    together = [s for s in settings[1:] if found[[first.column, s.column]].notna().all(axis=1).any()]
    if not together:
        raise Missing(f"No trial has {first.key} and another setting.")
    settings = [first, together[0]]
    have = found.dropna(subset=[s.column for s in settings])
    columns = {s.key: _shown(s, have[s.column]) for s in settings}
    trials = pd.DataFrame({"kind": "trial", "number": have["number"], **columns, "value": have["value"]})
    if len(have) < MIN_TRIALS or not all(s.numeric for s in settings):
        return trials.astype({"number": "Int64"}).reset_index(drop=True)
    return pd.concat([trials, _surface(settings, have, record.maximize)], ignore_index=True).astype({"number": "Int64"})


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """Points, over the surface where there is one, coloured on one scale."""
    x, y = _settings(frame, record)
    trials, surface = frame[frame["kind"] == "trial"], frame[frame["kind"] == "surface"]
    low, high = scales.fence(trials["value"], record.maximize)
    rng, jitter = np.random.default_rng(0), SURFACE_JITTER if len(surface) else scales.JITTER
    traces: list[go.Contour | go.Scatter] = []
    if len(surface):
        grid = surface.pivot(index=y.key, columns=x.key, values="value")
        traces.append(
            go.Contour(
                x=_places(x, grid.columns.to_series()),
                y=_places(y, grid.index.to_series()),
                z=grid.to_numpy(),
                coloraxis="coloraxis",
                contours={"coloring": "heatmap"},
                ncontours=12,
                line={"color": theme.FADED, "width": 1},
                hoverinfo="skip",
            )
        )
    points = go.Scatter(
        x=scales.jittered(x, _places(x, trials[x.key]), rng, jitter),
        y=scales.jittered(y, _places(y, trials[y.key]), rng, jitter),
        mode="markers",
        marker={
            "color": trials["value"],
            "coloraxis": "coloraxis",
            "size": 8,
            "line": {"color": RING, "width": 1},
        },
        customdata=np.column_stack([trials["number"], trials[x.key].map(_text), trials[y.key].map(_text)]),
        hovertemplate=f"trial %{{customdata[0]}}: %{{marker.color:.4f}}<br>{x.key} %{{customdata[1]}}"
        f"<br>{y.key} %{{customdata[2]}}<extra></extra>",
        showlegend=False,
    )
    figure = theme.figure(*traces, points, x=x.key, y=y.key, height=520, coloraxis=scales.colours(record, low, high))
    return figure.update_xaxes(**scales.axis(x)).update_yaxes(**scales.axis(y))


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say where the best trials and the best point of the surface are."""
    x, y = _settings(frame, record)
    trials, surface = frame[frame["kind"] == "trial"], frame[frame["kind"] == "surface"].dropna(subset="value")
    objective = label(record.metric)
    ranked = trials.sort_values("value", ascending=not record.maximize, kind="stable")
    best, tenth = ranked.iloc[0], ranked.head(math.ceil(len(ranked) / 10))
    first = ", the two most important settings" if len(scales.positions(record)) >= MIN_TRIALS else ""
    text = (
        f"{len(trials)} trials after epoch {record.comparable_epoch} by {x.key} and {y.key}{first}. The best, "
        f"{objective} {best['value']:.4f}, is trial {best['number']} with {x.key} {_text(best[x.key])} and {y.key} "
        f"{_text(best[y.key])}; the best "
        f"tenth (n = {len(tenth)}): {scales.span(x.key, tenth[x.key])}; {scales.span(y.key, tenth[y.key])}."
    )
    if surface.empty:
        why = "one of the settings is not a number" if len(trials) >= MIN_TRIALS else f"it takes {MIN_TRIALS} trials"
        return f"{text} No surface is fitted: {why}."
    top = surface.sort_values("value", ascending=not record.maximize).iloc[0]
    fitted = f"{MAX_FITTED} of them, drawn at random" if len(trials) > MAX_FITTED else "all of them"
    return (
        f"{text} The surface, a Gaussian process fitted to {fitted}, is best at {x.key} {_text(top[x.key])} and "
        f"{y.key} {_text(top[y.key])}, with {top['value']:.4f}; it is left empty where no trial is near."
    )


def _surface(settings: Sequence[Setting], have: pd.DataFrame, maximize: bool) -> pd.DataFrame:
    points = np.column_stack([scales.scaled(s, have[s.column]) for s in settings])
    values = have["value"].clip(*scales.fence(have["value"], maximize)).to_numpy()
    chosen = np.arange(len(have))
    if len(have) > MAX_FITTED:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MAX_FITTED, replace=False))
    kernel = ConstantKernel(1.0, (0.01, 100)) * Matern([0.3, 0.3], (0.05, 10), nu=2.5) + WhiteKernel(0.1, (1e-4, 10))
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    side = np.linspace(0, 1, GRID)
    grid = np.column_stack([line.ravel() for line in np.meshgrid(side, side)])
    with warnings.catch_warnings(), threadpool_limits(1):  # matrices so small are slower with more threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a length at its bound: a setting without effect
        mean = process.fit(points[chosen], values[chosen]).predict(grid)
    reach = np.array([_spacing(s) / 2 for s in settings])  # between two neighbouring whole numbers there is no gap
    apart = np.clip(np.abs(grid[:, None] - points[None]) - reach, 0, None)
    near = (np.linalg.norm(apart, axis=2) <= MAX_DISTANCE).any(axis=1)
    columns = {s.key: _unscaled(s, grid[:, i]) for i, s in enumerate(settings)}
    return pd.DataFrame({"kind": "surface", **columns, "value": np.where(near, mean, np.nan)})


def _settings(frame: pd.DataFrame, record: Record) -> tuple[Setting, Setting]:
    by_key = {s.key: s for s in record.settings}
    return by_key[frame.columns[2]], by_key[frame.columns[3]]


def _spacing(setting: Setting) -> float:
    """The largest distance between neighbouring values on an axis of length 1."""
    if setting.choices is not None:
        return 1 / (len(setting.choices) - 1)
    return float(scales.scaled(setting, pd.Series([setting.low + 1]))[0]) if setting.integer else 0.0


def _unscaled(setting: Setting, units: Array) -> Array:
    """The numbers at places between 0 and 1, as `scales.scaled` gives them."""
    if setting.choices is not None:
        return np.asarray(np.interp(units, np.linspace(0, 1, len(setting.choices)), scales.ordered(setting)))
    if setting.log:
        return np.asarray(setting.low * (setting.high / setting.low) ** units)
    return setting.low + units * (setting.high - setting.low)


def _shown(setting: Setting, places: pd.Series) -> pd.Series:
    if setting.choices is None:
        return places
    if not setting.numeric:
        return scales.labels(setting, places)
    return places.map(lambda place: scales.ordered(setting)[int(place)])


def _places(setting: Setting, shown: pd.Series) -> pd.Series:
    """Find the places on the axis of the frame's numbers and texts."""
    if setting.choices is None:
        return shown
    if not setting.numeric:
        return scales.place_of(setting, shown)
    return pd.Series(np.interp(shown, scales.ordered(setting), range(len(setting.choices))), shown.index)


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
