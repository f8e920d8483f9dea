"""What a journal says, by trial and by launch: its events, replayed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from contract import ranking
from contract.events import (
    SEARCH,
    DriverStarted,
    EpochEnded,
    Event,
    MicroBatchSet,
    Phase,
    SpaceChanged,
    TrialEnded,
    TrialEvent,
    TrialStarted,
)
from contract.metrics import Metrics
from contract.outcomes import Outcome


@dataclass
class TrialRecord:
    """What the journal says of one trial."""

    id: str
    number: int
    """The trial's number in the study; for a confirmation run, that of the trial that it confirms."""
    phase: Phase
    params: dict[str, Any]
    """Every hyperparameter in effect, flat."""
    started: float
    """Seconds since 1970."""
    epochs: dict[int, Metrics] = field(default_factory=dict)
    """Metrics by epoch (from 1)."""
    outcome: Outcome | None = None
    """None while it runs."""
    reason: str = ""
    micro_batch: int | None = None
    """Images that go through its network at once, where memory did not suffice for a whole batch."""
    ended: float | None = None
    """Seconds since 1970."""
    outside: bool = False
    """Whether its settings do not fit the space any more, since a resume changed it: it teaches and wins nothing."""

    @property
    def last_epoch(self) -> int:
        """The last epoch that was reported; 0 before the first."""
        return max(self.epochs, default=0)

    @property
    def last(self) -> Metrics:
        """Metrics of the last epoch, empty before the first."""
        return self.epochs[self.last_epoch] if self.epochs else {}


@dataclass
class Launch:
    """One driver's time, in seconds since 1970."""

    began: float
    ended: float
    """Its last event."""
    searched: float
    """The last event of the search, before any confirmation."""


class Records:
    """The trials and launches of a search, brought up to date event by event."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.trials: dict[str, TrialRecord] = {}
        self.launches: list[Launch] = []

    def replay(self, event: Event) -> None:
        """Take an event in; one of a trial whose beginning is missing, as from a damaged line, changes no trial."""
        if isinstance(event, DriverStarted):
            self.launches.append(Launch(event.time, event.time, event.time))
        elif self.launches:
            self.launches[-1].ended = event.time
        if isinstance(event, SpaceChanged):
            for id in {*event.outside, *event.inside} & set(self.trials):
                self.trials[id].outside = id in event.outside
        elif isinstance(event, TrialEvent):
            self._replay_trial(event)

    def _replay_trial(self, event: TrialEvent) -> None:
        record = self.trials.get(event.id)
        if isinstance(event, TrialStarted):
            if record is None:
                record = TrialRecord(event.id, event.number, event.phase, dict(event.params), event.time)
                self.trials[event.id] = record
            record.outcome, record.reason, record.ended = None, "", None
        if record is None:
            return
        if isinstance(event, EpochEnded):
            record.epochs[event.epoch] = event.metrics
        elif isinstance(event, MicroBatchSet):
            record.micro_batch = event.micro_batch
        elif isinstance(event, TrialEnded):
            record.outcome, record.reason, record.ended = event.outcome, event.reason, event.time
        if self.launches and record.phase == SEARCH:
            self.launches[-1].searched = event.time


def best_first(records: Iterable[TrialRecord], metric: str, maximize: bool) -> list[TrialRecord]:
    """The trials with a result, best first: the metric after each one's last epoch.

    Failed, diverged and unfinished trials have none, and those outside the space are left out.
    """
    usable = [r for r in records if not r.outside and ranking.has_result(r.outcome, r.last.get(metric))]
    return ranking.ranked(
        usable, lambda r: r.last[metric], lambda r: len(r.epochs), lambda r: r.number, maximize=maximize
    )
