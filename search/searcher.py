"""The searcher: asks Optuna for configurations and tells it how they did. Free of Ray."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search import samplers
from search.journal import TrialRecord, drop_half_line
from search.outcomes import LOSSES, OPTUNA_STATE, Outcome
from search.spec import Spec

DRAW = "draw"


class _NoLock(JournalFileOpenLock):
    """The journal's lock already keeps other drivers out; Optuna's own outlives a killed process by 30 s."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class StudySearcher:
    """A persisted Optuna study, driven by asking and telling. Every call can be repeated without harm."""

    def __init__(self, spec: Spec, path: Path):
        """Open the study in a journal file, or begin it."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        drop_half_line(path)
        self.spec = spec
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_NoLock(str(path))))
        direction = StudyDirection.MAXIMIZE if spec.objective.maximize else StudyDirection.MINIMIZE
        self.study = optuna.create_study(
            storage=storage, study_name=spec.name, direction=direction, load_if_exists=True
        )
        self._running: dict[int, optuna.Trial] = {}
        self._orphans: list[int] = []
        self._given = self._plan()

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next trial's number and configuration, or None when the search has made all of them."""
        if self._orphans:
            return self._configured(self._trial(self._orphans.pop(0)))
        trials = self.study.get_trials(deepcopy=False)
        number = sum(t.state != TrialState.WAITING for t in trials)
        if number >= self.spec.trials:
            return None
        if number == len(trials):
            self.study.enqueue_trial(self._fixed(number), user_attrs={DRAW: number // len(self._given)})
        self._seed_sampler(number)
        trial = self.study.ask()
        self._running[trial.number] = trial
        return self._configured(trial)

    def report(self, number: int, epoch: int, value: float) -> None:
        """An epoch's value, as `value_of` gives it."""
        if epoch not in self._frozen(number).intermediate_values:
            self._trial(number).report(value, step=epoch)

    def value_of(self, metrics: Mapping[str, float]) -> float:
        """The objective; not a number where a loss is none, whatever the accuracy says."""
        finite = all(math.isfinite(metrics[name]) for name in LOSSES)
        return metrics[self.spec.objective.metric] if finite else math.nan

    def tell(self, record: TrialRecord) -> None:
        """The end of a trial. Interrupted ones stay RUNNING in the study, for they will go on."""
        state = OPTUNA_STATE[record.outcome] if record.outcome else None
        if state is None or self._frozen(record.number).state.is_finished():
            return
        self._trial(record.number).set_user_attr("outcome", str(record.outcome))
        if record.outcome is Outcome.DIVERGED:
            self.report(record.number, max(record.epochs, default=1), math.nan)
        value = record.last[self.spec.objective.metric] if state is TrialState.COMPLETE else None
        self.study.tell(record.number, value, state)
        self._running.pop(record.number, None)

    def reconcile(self, records: list[TrialRecord]) -> None:
        """Bring the study up to the journal after a driver was killed between the two.

        A trial that the study began and the journal never heard of is the next to be asked for: it has
        its place in the grid, and perhaps some of its settings.
        """
        known = {record.number: record for record in records}
        self._orphans = []
        for trial in self.study.get_trials(deepcopy=False):
            record = known.get(trial.number)
            if record is None:
                if trial.state is TrialState.RUNNING:
                    self._orphans.append(trial.number)
            elif not trial.state.is_finished():
                diverged = max(record.epochs, default=0) if record.outcome is Outcome.DIVERGED else None
                for epoch, metrics in record.epochs.items():
                    if epoch == diverged:  # `tell` says what is to be known of it
                        continue
                    self.report(trial.number, epoch, self.value_of(metrics))
                self.tell(record)

    def _plan(self) -> list[dict[str, Any]]:
        """What is fixed of the trials, in turn: each grid point, or whole configurations for the grid sampler."""
        space = self.spec.space
        return space.product() if self.spec.sampler.name == "grid" else space.grid

    def _fixed(self, number: int) -> dict[str, Any]:
        """What is given of a trial: its grid point, and what was drawn for the same draw's earlier points."""
        draw, point = divmod(number, len(self._given))
        earlier = [t for t in self.study.get_trials(deepcopy=False) if t.user_attrs.get(DRAW) == draw]
        drawn = {key: value for trial in earlier for key, value in trial.params.items()}
        return {**drawn, **self._given[point]}

    def _trial(self, number: int) -> optuna.Trial:
        """The running trial, attached to again if it was begun by an earlier driver."""
        if number not in self._running:
            self._seed_sampler(number)
            self._running[number] = optuna.Trial(self.study, self._frozen(number)._trial_id)
        return self._running[number]

    def _seed_sampler(self, number: int) -> None:
        self.study.sampler = samplers.build(self.spec.sampler.name, self.spec.sampler.seed, number, self.spec.space)

    def _configured(self, trial: optuna.Trial) -> tuple[int, dict[str, Any]]:
        return trial.number, self.spec.space.suggest(lambda key, distribution: _draw(trial, key, distribution))

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]


def _draw(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, log=distribution.log)
    return trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)  # type: ignore[attr-defined]
