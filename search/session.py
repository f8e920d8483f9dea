"""A search in progress: proposes trials, hears of their epochs, decides how they go on. Free of Ray.

The engines (`tuner.py` on Ray, `in_process.py` in this process) only carry tasks to workers and metrics
back. Everything that happens is written to the journal first.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from search.dataset import DataSource
from search.journal import Journal, Phase, TrialRecord, leaders
from search.outcomes import Outcome, is_diverged
from search.schedulers import Asha
from search.trial import Task
from trainables import own_code
from trainables.config import TrainConfig

HOPELESS = 5
"""So many failures at the very start end a session."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run."""

    id: str
    number: int
    params: Mapping[str, Any]


class Proposer(Protocol):
    """Where a session's trials come from, and who is told how they did."""

    def propose(self) -> Proposal | None:
        """The next new trial, or None when there are no more."""

    def report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch's metrics."""

    def end(self, record: TrialRecord) -> None:
        """A trial has its outcome."""


@dataclass(frozen=True)
class Setting:
    """What all trials of a session share."""

    phase: Phase
    metric: str
    maximize: bool
    data: DataSource
    folder: Path
    """Of this search; holds the checkpoints and the tracebacks."""
    keep: int
    """How many of the best finished trials keep their checkpoint."""
    threads: int
    """CPU threads a trial."""
    concurrent: int
    """Trials at a time."""
    device: str = "cpu"
    """What trials train on: `cpu` or `cuda`."""
    score_test: bool = False
    """Whether the last epoch is scored on the test set too."""


class Session:
    """Trials of one phase of a search, from wherever the journal says they stand."""

    def __init__(
        self,
        setting: Setting,
        journal: Journal,
        proposer: Proposer,
        scheduler: Asha,
        out_of_time: Callable[[], bool] = lambda: False,
    ):
        """Rebuild the scheduler's rungs from the journal; unfinished trials come first."""
        self.setting = setting
        self.journal = journal
        self.proposer = proposer
        self.scheduler = scheduler
        self.out_of_time = out_of_time
        self.running: set[str] = set()
        self._unfinished = [r for r in self.records() if r.outcome in (None, Outcome.INTERRUPTED)]
        self._exhausted = False
        self._kept = leaders(self.records(), setting.metric, setting.maximize)[: setting.keep]
        for record in self.records():
            if record.outcome not in (None, Outcome.INTERRUPTED) and record not in self._kept:
                self.checkpoint(record.id).unlink(missing_ok=True)
            for epoch, metrics in sorted(record.epochs.items()):
                if not is_diverged(metrics):
                    scheduler.goes_on(record.id, epoch, metrics[setting.metric])

    def records(self) -> list[TrialRecord]:
        """All trials of this phase."""
        return self.journal.of(self.setting.phase)

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will start."""
        return self._exhausted or self.hopeless or self.out_of_time()

    @property
    def hopeless(self) -> bool:
        """Whether the first trials all failed before their first epoch: more would fail alike."""
        records = self.records()[:HOPELESS]
        return len(records) == HOPELESS and all(r.outcome is Outcome.FAILED and not r.epochs for r in records)

    def next(self) -> Task | None:
        """The next trial to start; None when all slots are taken or the session is exhausted."""
        if len(self.running) >= self.setting.concurrent or self.exhausted:
            return None
        if self._unfinished:
            record = self._unfinished.pop(0)
            proposal = Proposal(record.id, record.number, record.params)
        else:
            new = self.proposer.propose()
            if new is None:
                self._exhausted = True
                return None
            proposal = Proposal(new.id, new.number, TrainConfig.of(new.params).in_effect())
        self.running.add(proposal.id)
        self.journal.append(
            "trial", id=proposal.id, number=proposal.number, phase=self.setting.phase, params=dict(proposal.params)
        )
        return self._task(proposal)

    def report(self, id: str, metrics: Mapping[str, float]) -> bool:
        """Take an epoch's metrics, and say whether the trial trains on. Hearing of an epoch twice is harmless.

        Args:
            metrics: those of `EpochMetrics`, and `finished`: whether the trial has no further epoch.
        """
        record = self.journal.records[id]
        if id not in self.running:
            return False
        finished = metrics["finished"]
        metrics = {name: value for name, value in metrics.items() if name != "finished"}
        epoch = int(metrics["epoch"])
        if epoch not in record.epochs:
            self.journal.append("epoch", id=id, metrics=dict(metrics))
            self.proposer.report(record, epoch, metrics)
        if is_diverged(metrics):
            self.end(id, Outcome.DIVERGED, f"loss not finite at epoch {epoch}")
            return False
        goes_on = self.scheduler.goes_on(id, epoch, metrics[self.setting.metric])
        if finished:
            self.end(
                id, Outcome.COMPLETED, "" if epoch >= record.params["epochs"] else f"early stopping at epoch {epoch}"
            )
        elif not goes_on:
            self.end(id, Outcome.STOPPED, f"at rung {epoch}")
        elif self.out_of_time():
            self.end(id, Outcome.INTERRUPTED, "budget.hours is used up")
        return id in self.running

    def fail(self, id: str, error: str) -> None:
        """A trial's code raised, or its worker died too often. The whole error goes to a file."""
        if id not in self.running:
            return
        path = self.setting.folder / "errors" / f"{id}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(error)
        self.end(id, Outcome.FAILED, f"{error.strip().splitlines()[-1]} (all of it: {path})")

    def end(self, id: str, outcome: Outcome, reason: str = "") -> None:
        """Close a trial, once."""
        if id not in self.running:
            return
        self.running.discard(id)
        record = self.journal.records[id]
        self.journal.append("end", id=id, outcome=outcome, reason=reason, epoch=max(record.epochs, default=0))
        self.proposer.end(record)
        if outcome is Outcome.INTERRUPTED:
            return
        self._drop_checkpoints(record)
        if self.setting.phase == "search" and self._kept and self._kept[0] is record:
            metric = self.setting.metric
            self.journal.append("best", id=id, metric=metric, value=record.last[metric], trial=record.number)

    def interrupt(self) -> None:
        """Close what is still running, to be gone on with later."""
        for id in sorted(self.running):
            self.end(id, Outcome.INTERRUPTED, "the search was ended")

    def checkpoint(self, id: str) -> Path:
        """The file that holds a trial's state after its last epoch."""
        return self.setting.folder / "checkpoints" / f"{id}.pt"

    def _drop_checkpoints(self, record: TrialRecord) -> None:
        """Keep those of the best `keep` finished trials only."""
        self._kept = leaders([*self._kept, record], self.setting.metric, self.setting.maximize)
        dropped = [*self._kept[self.setting.keep :], *([] if record in self._kept else [record])]
        for r in dropped:
            self.checkpoint(r.id).unlink(missing_ok=True)
        self._kept = self._kept[: self.setting.keep]

    def _task(self, proposal: Proposal) -> Task:
        return Task(
            id=proposal.id,
            params=dict(proposal.params),
            data=self.setting.data.content(),
            checkpoint=str(self.checkpoint(proposal.id)),
            threads=self.setting.threads,
            device=self.setting.device,
            score_test=self.setting.score_test,
            own_code=own_code.allowed(),
        )


class Phases:
    """Sessions one after the other, as one to an engine: workers live on from the search to its confirmation."""

    def __init__(self, sessions: Generator[Session, None, None]):
        """Begin with the first session; each further one is made when the one before it is done."""
        self._sessions = sessions
        self._current = next(sessions, None)
        self._ahead: Task | None = self._advance()

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will start, in this session or a later one."""
        return self._current is None and self._ahead is None

    def next(self) -> Task | None:
        """The next trial to start; None when it must wait for others, or the phases are exhausted."""
        task, self._ahead = self._ahead or self._advance(), None
        return task

    def report(self, id: str, metrics: Mapping[str, float]) -> bool:
        """Take an epoch's metrics, and say whether the trial trains on."""
        return self._current is not None and self._current.report(id, metrics)

    def fail(self, id: str, error: str) -> None:
        """A trial's code raised, or its worker died too often."""
        if self._current is not None:
            self._current.fail(id, error)

    def close(self) -> None:
        """End here: what is running is interrupted."""
        if self._current is not None:
            self._current.interrupt()
        self._sessions.close()

    def _advance(self) -> Task | None:
        while self._current is not None:
            task = self._current.next()
            if task is not None or self._current.running:
                return task
            self._current = next(self._sessions, None)
        return None


def deadline(journal: Journal, hours: float | None) -> Callable[[], bool]:
    """Whether the search has used up its hours, earlier launches counted."""
    if hours is None:
        return lambda: False
    end = time.time() + hours * 3600 - journal.search_seconds
    return lambda: time.time() >= end
