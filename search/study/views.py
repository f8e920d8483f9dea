"""What a sampler is shown of the study."""

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class View:
    """A study, as it is now, of which other trials are shown than it has."""

    def __init__(self, study: optuna.Study):
        """Look at a study."""
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """The trials that are shown, those with one of these states where some are named."""
        return self._get_trials(deepcopy, states)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        return [t for t in self._now if states is None or t.state in states]

    @cached_property
    def _now(self) -> list[FrozenTrial]:
        """Found once: a sampler asks many times for a trial, and would go through thousands each time."""
        return self._trials(self._study.get_trials(deepcopy=False))

    def _trials(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        raise NotImplementedError


class Foremost(View):
    """Shows the best completed trials of a large study and the latest others.

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


class AllComplete(View):
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
        """The value that each trial is shown with, by its number."""
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


class SameEpoch(AllComplete):
    """Shows trials as they stood at the latest epoch that enough reached (BOHB, Falkner et al. 2018, section 4.2).

    Under a scheduler most trials stop early, and their last values cannot be compared with those of trials that
    went on. Those that did not reach that epoch are left out.
    """

    MIN_TRIALS = 10
    """Trials that must have reached an epoch: as many as a sampler draws at random before it learns."""

    def _epoch(self, curves: list[dict[int, float]]) -> int:
        epochs = sorted({epoch for curve in curves for epoch in curve}, reverse=True)
        return next((e for e in epochs if sum(e in curve for curve in curves) >= self.MIN_TRIALS), 1)


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    """A copy that is complete with this value, under the same number and id: CMA-ES looks its trials up by them."""
    shown = copy.copy(trial)
    shown.state, shown.value = TrialState.COMPLETE, value
    return shown
