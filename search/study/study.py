"""The searcher: asks Optuna for configurations and tells it how they did. Free of Ray."""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from contract.metrics import LOSSES
from contract.outcomes import OPTUNA_STATE, Outcome
from search.journal import compatibility
from search.journal.journal import truncate_partial_line
from search.journal.records import TrialRecord
from search.spec.spec import Spec
from search.storage.layout import Layout
from search.study import samplers
from search.study.counts import DRAW, OUTCOME, POINT, Counts
from search.study.optuna_private import begin_trial, trial_id, unlocked_storage

SPACE = "space"
"""Attribute of a study: its space's digest."""


class StudySearcher:
    """A persisted Optuna study, driven by asking and telling. Every call can be repeated without harm.

    The study follows from the journal: one that is damaged, contradicts it, or is of another space is rebuilt from
    it, under a name of its own in the same file.
    """

    def __init__(self, spec: Spec, path: Path):
        """Open the study in a journal file, or begin it.

        Raises:
            OSError: the file cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.spec = spec
        self.damaged: Path | None = None
        """Where a file that could not be read was put aside."""
        self._running: dict[int, optuna.Trial] = {}
        self._orphans: list[int] = []
        self._counts: Counts | None = None
        self._plan = compatibility.plan(spec)
        truncate_partial_line(path)
        try:
            self._storage = unlocked_storage(path)
            names = [study.study_name for study in self._storage.get_all_studies()]
        except OSError:
            raise
        except Exception:  # a damaged file can raise nearly anything
            self.damaged = Layout(path.parent).damaged_study(time.strftime("%Y%m%d-%H%M%S"))
            path.replace(self.damaged)
            self._storage, names = unlocked_storage(path), []
        self.study = self._study(names[-1] if names else spec.name)
        if not names:
            self.study.set_user_attr(SPACE, self._digest)

    @property
    def changed(self) -> bool:
        """Whether the study was made for another space than the spec's."""
        return self.study.user_attrs.get(SPACE) != self._digest

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next trial's number and configuration, or None when the search has begun all of them."""
        if self._orphans:
            self._counts = None
            return self._configuration(self._trial(self._orphans.pop(0)))
        # None while they change: after what fails halfway, as on a full disk, the study is counted again.
        counts, self._counts = self._counts or Counts.of(self.study.get_trials(deepcopy=False)), None
        configuration = None
        if counts.points.total() < self.spec.trials:
            trial = self._begin(counts)
            configuration = self._configuration(trial)
            counts.add(trial.user_attrs, trial.params)
            counts.number = trial.number + 1
        self._counts = counts
        return configuration

    def report(self, number: int, epoch: int, value: float) -> None:
        """Report an epoch's value, as `value_of` gives it."""
        if epoch not in self._frozen(number).intermediate_values:
            self._trial(number).report(value, step=epoch)

    def value_of(self, metrics: Mapping[str, float]) -> float:
        """The objective; not a number where a loss is not finite, whatever the accuracy says."""
        finite = all(math.isfinite(metrics[name]) for name in LOSSES)
        return metrics[self.spec.objective.metric] if finite else math.nan

    def tell(self, record: TrialRecord) -> None:
        """Tell the study of the end of a trial. Interrupted ones stay RUNNING in it, for they will continue."""
        state = _state(record)
        if state is None or self._frozen(record.number).state.is_finished():
            return
        self._trial(record.number).set_user_attr(OUTCOME, str(record.outcome))
        if record.outcome is Outcome.DIVERGED:
            self.report(record.number, record.last_epoch or 1, math.nan)
        value = record.last[self.spec.objective.metric] if state is TrialState.COMPLETE else None
        self.study.tell(record.number, value, state)
        self._running.pop(record.number, None)

    def withdraw(self, number: int) -> None:
        """Take back a configuration that was asked for and never tried: its place in the grid is free again."""
        self._counts = None
        self.study.tell(number, state=TrialState.FAIL)
        self._running.pop(number, None)

    def reconcile(self, records: list[TrialRecord]) -> bool:
        """Bring the study up to the journal after a driver was killed between the two; whether it was rebuilt.

        A trial that the study began and the journal never heard of is the next to be asked for: it has
        its place in the grid, and perhaps some of its settings.
        """
        trials = self.study.get_trials(deepcopy=False)
        if self.changed or any(self._contradicts(trials, record) for record in records):
            self._rebuild(records)
            return True
        known = {record.number: record for record in records}
        self._orphans = []
        for trial in trials:
            record = known.get(trial.number)
            if record is None:
                if trial.state is TrialState.RUNNING:
                    self._orphans.append(trial.number)
            elif not trial.state.is_finished():
                for epoch, value in self._values(record).items():
                    self.report(trial.number, epoch, value)
                self.tell(record)
        return False

    def _values(self, record: TrialRecord) -> dict[int, float]:
        """The objective by epoch; not a number at the one at which the trial diverged, which is to be learned."""
        values = {epoch: self.value_of(metrics) for epoch, metrics in sorted(record.epochs.items())}
        return values | {max(values, default=1): math.nan} if record.outcome is Outcome.DIVERGED else values

    def _contradicts(self, trials: Sequence[FrozenTrial], record: TrialRecord) -> bool:
        """Whether the study says otherwise than the journal, which is written first: it may only lag behind."""
        if record.number >= len(trials):
            return True
        trial = trials[record.number]
        if POINT not in trial.user_attrs:
            return not record.outside
        state = _state(record)
        reported, known = trial.intermediate_values, self._values(record)
        return (
            (state is not None and trial.state.is_finished() and trial.state is not state)
            or any(record.params.get(key, value) != value for key, value in trial.params.items())
            or not compatibility.drawn(self.spec.space, record.params) <= set(trial.params)
            or any(epoch not in known or not _equal(value, known[epoch]) for epoch, value in reported.items())
            or (trial.state.is_finished() and len(reported) < len(known))
        )

    def _rebuild(self, records: list[TrialRecord]) -> None:
        """A new study with what the journal knows; a trial that does not fit the space keeps its number alone."""
        names = [study.study_name for study in self._storage.get_all_studies()]
        self._running, self._orphans, self._counts = {}, [], None
        self.study = self._study(f"{self.spec.name} ({len(names) + 1})")
        known = {record.number: record for record in records}
        draws: Counter[int] = Counter()
        for number in range(max(known, default=-1) + 1):
            record = known.get(number)
            found = compatibility.fitted(self.spec.space, self._plan, record.params) if record else None
            if record is None or found is None:
                self.study.add_trial(create_trial(state=TrialState.FAIL))
                continue
            point, drawn = found
            self.study.add_trial(self._frozen_of(record, drawn, {POINT: point, DRAW: draws[point]}))
            draws[point] += 1
        self.study.set_user_attr(SPACE, self._digest)

    def _frozen_of(self, record: TrialRecord, drawn: dict[str, Any], attributes: dict[str, Any]) -> FrozenTrial:
        state = _state(record) or TrialState.RUNNING
        if state.is_finished():
            attributes[OUTCOME] = str(record.outcome)
        values = self._values(record)
        value = values[max(values)] if values else math.nan
        trial = create_trial(
            state=state if state.is_finished() else TrialState.PRUNED,  # it makes no running ones
            value=value if state in (TrialState.COMPLETE, TrialState.PRUNED) and math.isfinite(value) else None,
            params=drawn,
            distributions={p.key: p.distribution for p in self.spec.space.parameters if p.key in drawn},
            intermediate_values=values,
            user_attrs=attributes,
        )
        if not state.is_finished():
            trial.state, trial.datetime_complete = TrialState.RUNNING, None
        return trial

    def _study(self, name: str) -> optuna.Study:
        direction = StudyDirection.MAXIMIZE if self.spec.objective.maximize else StudyDirection.MINIMIZE
        return optuna.create_study(storage=self._storage, study_name=name, direction=direction, load_if_exists=True)

    @property
    def _digest(self) -> str:
        """A digest of what a configuration is drawn from: constants, parameters, and the points of the grid."""
        space = self.spec.space
        content = [dict(space.constants), [p.describe() for p in space.parameters], self._plan]
        return hashlib.blake2b(json.dumps(content, default=str).encode(), digest_size=8).hexdigest()

    def _begin(self, counts: Counts) -> optuna.Trial:
        """The next trial, at the grid point with the fewest trials, with what was drawn for that draw."""
        point = min(range(len(self._plan)), key=lambda index: counts.points[index])
        draw = counts.points[point]
        fixed: dict[str, Any] = {}
        if draw == 0 and self.spec.sampler.name in samplers.FROM_THE_MIDDLE:
            fixed = {p.key: p.middle for p in self.spec.space.sampled}
        fixed |= {**counts.drawn.get(draw, {}), **self._plan[point]}
        id = begin_trial(self.study, self._storage, counts.number, fixed, {POINT: point, DRAW: draw})
        self._seed_sampler(counts.number)
        trial = optuna.Trial(self.study, id)
        self._running[trial.number] = trial
        return trial

    def _trial(self, number: int) -> optuna.Trial:
        """The running trial, attached to again if it was begun by an earlier driver."""
        if number not in self._running:
            self._seed_sampler(number)
            self._running[number] = optuna.Trial(self.study, trial_id(self._frozen(number)))
        return self._running[number]

    def _seed_sampler(self, number: int) -> None:
        self.study.sampler = samplers.build(self.spec.sampler.name, self.spec.sampler.seed, number, self.spec.space)

    def _configuration(self, trial: optuna.Trial) -> tuple[int, dict[str, Any]]:
        return trial.number, self.spec.space.suggest(lambda key, distribution: _draw(trial, key, distribution))

    def _frozen(self, number: int) -> FrozenTrial:
        if number in self._running:
            return self._storage.get_trial(trial_id(self._running[number]))
        return self.study.get_trials(deepcopy=False)[number]


def _state(record: TrialRecord) -> TrialState | None:
    """Optuna's state of a trial that has ended, None while it runs or is to be continued."""
    name = OPTUNA_STATE[record.outcome] if record.outcome else None
    return TrialState[name] if name else None


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _draw(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, log=distribution.log)
    return trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)  # type: ignore[attr-defined]
