"""Samplers by name: who proposes a configuration, given those tried."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
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
            return _SameEpoch(GPSampler(seed=trial_seed, deterministic_objective=False))
        if name == "cmaes":
            return CmaEsSampler(seed=trial_seed, consider_pruned_trials=True, warn_independent_sampling=False)
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


class _SameEpoch(BaseSampler):
    """Lets a sampler that learns from complete trials only learn from stopped ones, at one epoch for all.

    Under a scheduler most trials stop early, and their last values cannot be compared with those of
    trials that went on. So all are shown as they stood at the latest epoch which enough trials reached
    (BOHB, Falkner et al. 2018, section 4.2).
    """

    def __init__(self, sampler: BaseSampler):
        self.sampler = sampler

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict:
        return self.sampler.infer_relative_search_space(_StudyAtEpoch(study), trial)  # type: ignore[arg-type]

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict) -> dict:
        return self.sampler.sample_relative(_StudyAtEpoch(study), trial, search_space)  # type: ignore[arg-type]

    def sample_independent(self, study: Any, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        return self.sampler.sample_independent(study, trial, name, distribution)


class _StudyAtEpoch:
    """A study as it stood when its trials had trained to one epoch."""

    ENOUGH = 10
    """Trials that must have reached the epoch: as many as the sampler draws at random before it learns."""

    def __init__(self, study: optuna.Study):
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)
        seen = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED) and t.intermediate_values]
        epoch = self._epoch(seen)
        finite = [v for t in seen if np.isfinite(v := t.intermediate_values.get(epoch, np.nan))]
        worst = min(finite, default=0.0) if self._study.direction.name == "MAXIMIZE" else max(finite, default=0.0)
        shown = []
        for trial in trials:
            if trial in seen:
                if (
                    max(trial.intermediate_values) < epoch
                    and np.isfinite(list(trial.intermediate_values.values())).all()
                ):
                    continue
                value = trial.intermediate_values.get(epoch, np.nan)
                trial = _complete(trial, value if np.isfinite(value) else worst)
            if states is None or trial.state in states:
                shown.append(trial)
        return shown

    def _epoch(self, seen: list[FrozenTrial]) -> int:
        epochs = sorted({epoch for t in seen for epoch in t.intermediate_values}, reverse=True)
        reached = (e for e in epochs if sum(e in t.intermediate_values for t in seen) >= self.ENOUGH)
        return next(reached, 1)


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        value=value,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
    )
