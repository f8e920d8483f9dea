"""Samplers by name: who proposes a configuration, given those tried."""

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.errors import Problem
from search.space import Space

NAMES = ("cmaes", "gp", "grid", "random", "tpe")
FROM_THE_MIDDLE = ("gp", "tpe")
"""Samplers whose first trial is the middle of the space, where the person who wrote the ranges expects something good:
they draw their first ten at random. CMA-ES begins around it by itself."""


def build(name: str, seed: int, number: int, space: Space) -> BaseSampler:
    """The sampler for one trial.

    Made anew for each trial and seeded with its number: what is proposed follows from the seed and the
    trials told, not from how often the search was resumed (a sampler seeded once would begin its
    sequence again).
    """
    trial_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            conditional = any(parameter.when for parameter in space.parameters)
            tpe = TPESampler(seed=trial_seed, multivariate=True, group=conditional, constant_liar=True)
            return _Shown(tpe, _Foremost)
        if name == "gp":
            return _Shown(GPSampler(seed=trial_seed, deterministic_objective=False), _SameEpoch)
        if name == "cmaes":
            return _Shown(CmaEsSampler(seed=trial_seed, warn_independent_sampling=False), _AllComplete)
    return RandomSampler(seed=trial_seed)  # grid: its trials are given whole, nothing is left to draw


def problems(name: str, space: Space) -> list[Problem]:
    """What the sampler cannot search in this space."""
    found: list[Problem] = []
    grid = [p.key for p in space.parameters if p.kind == "grid"]
    if name == "grid":
        endless = [p for p in space.parameters if p.values is None]
        found += [
            Problem(
                f"space.{p.key}.{p.kind}",
                "the grid sampler needs values that can be counted: use grid, choice or int, or another sampler",
            )
            for p in endless
        ]
        if not space.too_many and space.too_many_products:
            found.append(Problem("space", space.too_many_products))
        if not space.parameters:
            found.append(
                Problem("sampler.name", "the grid sampler has nothing to cross: give a key of the space a grid")
            )
    elif name == "cmaes":
        found += [
            Problem(
                f"space.{key}.grid",
                "cmaes cannot be crossed with a grid, it learns from its own proposals only: use tpe, random or gp",
            )
            for key in grid
        ]
        conditional = [p.key for p in space.parameters if p.when]
        found += [
            Problem(f"space.{key}.when", "cmaes cannot search conditional keys: use tpe, random or gp")
            for key in conditional
        ]
        if not any(p.kind in ("uniform", "loguniform", "int", "logint") for p in space.parameters):
            found.append(Problem("sampler.name", "cmaes needs at least one numeric range: use tpe or random"))
    return found


class _Shown(BaseSampler):
    """Shows a sampler, for one trial, its own view of the study."""

    def __init__(self, sampler: BaseSampler, view: Callable[[optuna.Study], Any]):
        self.sampler = sampler
        self._view = cache(view)

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict:
        return self.sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict) -> dict:
        return self.sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(self, study: Any, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        return self.sampler.sample_independent(study, trial, name, distribution)


class _View:
    """A study, as it is now, of which other trials are shown than it has."""

    def __init__(self, study: optuna.Study):
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        return [t for t in self._now if states is None or t.state in states]

    @cached_property
    def _now(self) -> list[FrozenTrial]:
        """Found once: a sampler asks many times for a trial, and would go through thousands each time."""
        return self._trials(self._study.get_trials(deepcopy=False))

    def _trials(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        raise NotImplementedError


class _Foremost(_View):
    """Of a large study the best completed trials and the latest others.

    TPE takes its 25 best from them; the rest tells it what is common, for which a thousand do as well as ten thousand,
    and a suggestion takes time in proportion.
    """

    BEST, LATEST = 250, 750

    def _trials(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        if len(trials) <= self.BEST + self.LATEST:
            return trials
        sign = -1 if self._study.direction is StudyDirection.MAXIMIZE else 1
        latest, earlier = trials[-self.LATEST :], trials[: -self.LATEST]
        complete = [t for t in earlier if t.state is TrialState.COMPLETE]
        running = [t for t in earlier if not t.state.is_finished()]
        best = sorted(complete, key=lambda t: sign * t.value)[: self.BEST]  # type: ignore[operator]
        return sorted([*best, *running, *latest], key=lambda t: t.number)


class _AllComplete(_View):
    """Lets a sampler that learns from complete trials only learn from stopped and diverged ones too.

    They are shown as complete, with their last value; a diverged one with the worst value seen. CMA-ES waits for
    every trial of a generation.
    """

    def _trials(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        values = self._values([t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)])
        return [
            _complete(t, values[t.number]) if t.number in values else t
            for t in trials
            if t.number in values or not t.state.is_finished()
        ]

    def _values(self, ended: list[FrozenTrial]) -> dict[int, float]:
        """By trial number: the value it is shown with."""
        curves = {t.number: t.intermediate_values for t in ended if t.intermediate_values}
        epoch = self._epoch(list(curves.values()))
        values = {}
        for number, curve in curves.items():
            if not np.isfinite(curve[max(curve)]):
                values[number] = math.nan
            elif epoch is None or epoch in curve:
                values[number] = curve[max(curve) if epoch is None else epoch]
        finite = [v for v in values.values() if math.isfinite(v)]
        maximize = self._study.direction is StudyDirection.MAXIMIZE
        worst = (min if maximize else max)(finite, default=0.0)
        return {number: v if math.isfinite(v) else worst for number, v in values.items()}

    def _epoch(self, curves: list[dict[int, float]]) -> int | None:
        """The epoch at which all are compared; None for each one's last."""
        return None


class _SameEpoch(_AllComplete):
    """As they stood at the latest epoch that enough trials reached (BOHB, Falkner et al. 2018, section 4.2).

    Under a scheduler most trials stop early, and their last values cannot be compared with those of trials that
    went on. Those that did not reach that epoch are left out.
    """

    ENOUGH = 10
    """Trials that must have reached an epoch: as many as a sampler draws at random before it learns."""

    def _epoch(self, curves: list[dict[int, float]]) -> int:
        epochs = sorted({epoch for curve in curves for epoch in curve}, reverse=True)
        return next((e for e in epochs if sum(e in curve for curve in curves) >= self.ENOUGH), 1)


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    """A copy that is complete with this value, under the same number and id: CMA-ES looks its trials up by them."""
    shown = copy.copy(trial)
    shown.state, shown.value = TrialState.COMPLETE, value
    return shown
