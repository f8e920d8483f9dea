"""Samplers by name: who proposes a configuration, given those tried."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from search.spec.space import Space
from search.study.views import AllComplete, Foremost, SameEpoch

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
            return _Shown(tpe, Foremost)
        if name == "gp":
            return _Shown(GPSampler(seed=trial_seed, deterministic_objective=False), SameEpoch)
        if name == "cmaes":
            return _Shown(CmaEsSampler(seed=trial_seed, warn_independent_sampling=False), AllComplete)
    return RandomSampler(seed=trial_seed)  # grid: its trials are given whole, nothing is left to draw


class _Shown(BaseSampler):
    """Shows a sampler, for one trial, its own view of the study."""

    def __init__(self, sampler: BaseSampler, view: Callable[[optuna.Study], Any]):
        self.sampler = sampler
        self._view = cache(view)

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:
        return self.sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        return self.sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(self, study: Any, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        return self.sampler.sample_independent(study, trial, name, distribution)
