"""Samplers by name: who proposes a configuration, given those tried."""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.errors import Problem
from search.space import Space

NAMES = ("cmaes", "gp", "grid", "random", "tpe")


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
            return TPESampler(seed=trial_seed, multivariate=True, group=conditional, constant_liar=True)
        if name == "gp":
            return _AllComplete(GPSampler(seed=trial_seed, deterministic_objective=False), same_epoch=True)
        if name == "cmaes":
            return _AllComplete(CmaEsSampler(seed=trial_seed, warn_independent_sampling=False), same_epoch=False)
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


class _AllComplete(BaseSampler):
    """Lets a sampler that learns from complete trials only learn from stopped and diverged ones too.

    Under a scheduler most trials stop early, and their last values cannot be compared with those of
    trials that went on. With `same_epoch` all are shown as they stood at the latest epoch that enough
    trials reached (BOHB, Falkner et al. 2018, section 4.2), and those that did not reach it are left out.
    CMA-ES waits for every trial of a generation, so it is shown last values. A diverged trial is shown
    with the worst value seen.
    """

    def __init__(self, sampler: BaseSampler, same_epoch: bool):
        self.sampler, self.same_epoch = sampler, same_epoch

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict:
        return self.sampler.infer_relative_search_space(self._shown(study), trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict) -> dict:
        return self.sampler.sample_relative(self._shown(study), trial, search_space)

    def sample_independent(self, study: Any, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        return self.sampler.sample_independent(study, trial, name, distribution)

    def _shown(self, study: optuna.Study) -> Any:
        return _CompletedStudy(study, self.same_epoch)


class _CompletedStudy:
    """A study whose stopped trials look complete."""

    ENOUGH = 10
    """Trials that must have reached an epoch: as many as a sampler draws at random before it learns."""

    def __init__(self, study: optuna.Study, same_epoch: bool):
        self._study, self._same_epoch = study, same_epoch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)
        values = self._values([t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)])
        shown = [
            _complete(t, values[t.number]) if t.number in values else t
            for t in trials
            if t.number in values or not t.state.is_finished()
        ]
        return [t for t in shown if states is None or t.state in states]

    def _values(self, ended: list[FrozenTrial]) -> dict[int, float]:
        """By trial number: the value it is shown with."""
        curves = {t.number: t.intermediate_values for t in ended if t.intermediate_values}
        epoch = self._epoch(list(curves.values())) if self._same_epoch else None
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

    def _epoch(self, curves: list[dict[int, float]]) -> int:
        """The latest epoch that enough trials reached, else the first."""
        epochs = sorted({epoch for curve in curves for epoch in curve}, reverse=True)
        return next((e for e in epochs if sum(e in curve for curve in curves) >= self.ENOUGH), 1)


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    """A copy that is complete with this value, under the same number and id: CMA-ES looks its trials up by them."""
    shown = copy.copy(trial)
    shown.state, shown.value = TrialState.COMPLETE, value
    return shown
