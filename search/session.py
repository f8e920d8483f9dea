"""A search in progress: proposes trials, hears of their epochs, decides how they go on. Free of Ray.

The engines (`tuner.py` on Ray, `in_process.py` in this process) only carry tasks to workers and metrics
back. Everything that happens is written to the journal first.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from search.checkpoints import Checkpoints, Disk, Files, ObjectStore
from search.dataset import DataSource
from search.journal import Journal, Phase, TrialRecord
from search.mirror import Mirror
from search.outcomes import LOSSES, Outcome, divergence, is_number
from search.schedulers import Asha
from search.slots import Slots
from search.trial import Task
from trainables import own_code
from trainables.config import FIELDS, TrainConfig
from trainables.redaction import redact

NETWORK = ("model", "resize", "precision")
"""The hyperparameters that, with the model's options, say how much memory an image takes."""
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

    def prepare(self) -> None:
        """Work the next one out in advance, for all workers are busy."""

    def put_back(self, proposal: Proposal) -> None:
        """Propose it again: there was no room for it."""

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
    classes: int
    """Of the data set."""
    folder: Path
    """Of this search; holds the checkpoints and the tracebacks."""
    keep: int
    """How many of the best finished trials keep their checkpoint."""
    slots: Slots
    """What trials are given, and how many run at a time."""
    retries: int = 0
    """How often a trial whose worker died goes on from its last epoch."""
    score_test: bool = False
    """Whether the last epoch is scored on the test set too."""
    mirror: Mirror | None = None
    """Of the folder in an object store, where the checkpoints are then too."""
    checkpoint_bytes: int | None = None
    """What all checkpoints may take on the disk; None for no limit."""


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
        self._unfinished = [r for r in self.records() if r.outcome is Outcome.INTERRUPTED and not r.outside]
        self._exhausted = False
        self._deaths: dict[str, list[str | None]] = {}
        """By trial, the nodes on which its workers died."""
        self.halted: str | None = None
        """Why nothing may start or go on, None while all may."""
        files: Files = ObjectStore(setting.mirror) if setting.mirror else Disk(setting.folder)
        self.checkpoints = Checkpoints(files, setting.keep, setting.checkpoint_bytes, setting.metric, setting.maximize)
        self.checkpoints.take_up(r for r in self.records() if r not in self._unfinished)
        for record in self.records():
            history: list[Mapping[str, Any]] = []
            for epoch, metrics in sorted(record.epochs.items()):
                history.append(metrics)
                if not record.outside and self._divergence(record, history) is None:
                    scheduler.goes_on(record.id, epoch, metrics[setting.metric])

    def records(self) -> list[TrialRecord]:
        """All trials of this phase, those outside the space too."""
        return self.journal.of(self.setting.phase)

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will start."""
        done = self._exhausted and not self._unfinished
        return self.halted is not None or done or self.hopeless or self.out_of_time()

    @property
    def hopeless(self) -> bool:
        """Whether the first trials all failed before their first epoch: more would fail alike."""
        # Asked with each result, so not of `records`, which goes through all of them.
        begun = (r for r in self.journal.records.values() if r.phase == self.setting.phase)
        records = list(itertools.islice(begun, HOPELESS))
        return len(records) == HOPELESS and all(r.outcome is Outcome.FAILED and not r.epochs for r in records)

    def next(self) -> Task | None:
        """The next trial to start; None when all slots are taken or the session is exhausted."""
        if self.exhausted:
            return None
        running = [self._model(self.journal.records[id].params) for id in self.running]
        if not self.setting.slots.room(running):
            if not self._unfinished:
                self.proposer.prepare()
            return None
        if self._unfinished:
            record = self._unfinished[0]
            proposal = Proposal(record.id, record.number, record.params)
            if not self.setting.slots.room(running, self._model(proposal.params)):
                return None
            self._unfinished.pop(0)
        else:
            new = self.proposer.propose()
            if new is None:
                self._exhausted = True
                return None
            if not self.setting.slots.room(running, self._model(new.params)):
                self.proposer.put_back(new)
                return None
            proposal = Proposal(new.id, new.number, TrainConfig.of(new.params).in_effect())
        self.running.add(proposal.id)
        self.journal.append(
            "trial", id=proposal.id, number=proposal.number, phase=self.setting.phase, params=dict(proposal.params)
        )
        record = self.journal.records[proposal.id]
        if (fewest := self._images_a_pass(record)) is not None:
            self.divided(record.id, fewest)
        return self._task(proposal)

    def report(self, id: str, metrics: Mapping[str, Any]) -> bool:
        """Take an epoch's metrics, and say whether the trial trains on. Hearing of an epoch twice is harmless.

        Args:
            metrics: those of `EpochMetrics`, and `finished`: whether the trial has no further epoch. One that is
                missing is written down as not a number.
        """
        record = self.journal.records[id]
        if id not in self.running:
            return False
        epoch = metrics.get("epoch")
        if not isinstance(epoch, int):
            self.end(id, Outcome.DIVERGED, "epoch is missing in what it reported")
            return False
        diverged = self._divergence(record, [*(record.epochs[e] for e in sorted(record.epochs) if e < epoch), metrics])
        if epoch not in record.epochs:
            self.journal.append("epoch", id=id, metrics=_numbers(metrics, (*LOSSES, self.setting.metric)))
            if diverged is None:
                self.proposer.report(record, epoch, metrics)
        if self.halted:
            self.end(id, Outcome.INTERRUPTED, self.halted)
            return False
        if epoch < max(record.epochs):  # trained again after its loss: what followed from it has been decided
            return True
        if diverged is not None:
            self.end(id, Outcome.DIVERGED, diverged)
            return False
        goes_on = self.scheduler.goes_on(id, epoch, metrics[self.setting.metric])
        if metrics.get("finished"):
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
        error = redact(error)
        path = self.setting.folder / "errors" / f"{id}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(error)
        self.end(id, Outcome.FAILED, f"{error.strip().splitlines()[-1]} (all of it: {path})")

    def died(self, id: str, error: str, node: str | None = None, *, of_memory: bool = False) -> None:
        """A trial's worker died: another one takes it up, unless that has happened too often.

        Args:
            error: what Ray says.
            node: where the worker was.
            of_memory: whether it was killed for memory; the next one then lets half as many images through at a time.
        """
        if id not in self.running:
            return
        deaths = self._deaths.setdefault(id, [])
        deaths.append(node)
        if len(deaths) <= self.setting.retries:
            if of_memory:
                self._halve(id)
            self._again([id])
            return
        times = "once" if len(deaths) == 1 else f"{len(deaths)} times"
        why = ", at last killed for memory" if of_memory else ""
        self.fail(id, f"{error}\nThe trial's worker died {times}{why}.")

    def moved(self, id: str) -> None:
        """The node of a trial's worker was lost: another one takes the trial up, and that counts for nothing."""
        if id in self.running:
            self._again([id])

    def lost_node(self, node: str) -> None:
        """A node was lost: the workers that died there before that was known were not at fault."""
        self._deaths = {id: [where for where in nodes if where != node] for id, nodes in self._deaths.items()}

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
        self.checkpoints.end(record)
        if self.setting.phase == "search" and self.checkpoints.best[:1] == [record]:
            metric = self.setting.metric
            self.journal.append("best", id=id, metric=metric, value=record.last[metric], trial=record.number)

    def restart(self) -> None:
        """Begin what is running again, from its checkpoints: all workers are gone."""
        self._again(sorted(self.running))

    def _again(self, ids: Sequence[str]) -> None:
        """Have trials begun again before any other, from their checkpoints."""
        self._unfinished = [self.journal.records[id] for id in ids] + self._unfinished
        self.running.difference_update(ids)

    def interrupt(self) -> None:
        """Close what is still running, to be gone on with later."""
        for id in sorted(self.running):
            self.end(id, Outcome.INTERRUPTED, self.halted or "the search was ended")

    def lost(self, id: str, text: str) -> None:
        """Write down that a trial could not go on from where it was, and where it goes on from."""
        if id in self.running:
            self.journal.append("lost", id=id, text=text)

    def divided(self, id: str, images_a_pass: int, reason: str = "") -> None:
        """Write down that a trial has so many images at a time from now on; trials like it will begin so."""
        if id in self.running and self.journal.records[id].images_a_pass != images_a_pass:
            self.journal.append("memory", id=id, images_a_pass=images_a_pass, reason=reason)

    def _halve(self, id: str) -> None:
        record = self.journal.records[id]
        half = math.ceil((record.images_a_pass or record.params["batch_size"]) / 2)
        self.divided(id, half, "its worker was killed for memory")

    def _images_a_pass(self, record: TrialRecord) -> int | None:
        """The fewest that this trial, or one of the same network and no larger batches, had to make do with."""
        like = (
            r.images_a_pass
            for r in self.journal.records.values()
            if r.images_a_pass
            and _network(r.params) == _network(record.params)
            and r.params["batch_size"] <= record.params["batch_size"]
        )
        return min(like, default=None)

    def _divergence(self, record: TrialRecord, history: Sequence[Mapping[str, Any]]) -> str | None:
        return divergence(history, self.setting.classes, record.params["loss"], self.setting.metric)

    def _task(self, proposal: Proposal) -> Task:
        share = self.setting.slots.shares[self._model(proposal.params)]
        return Task(
            id=proposal.id,
            params=dict(proposal.params),
            data=self.setting.data.content(),
            checkpoint=self.checkpoints.files.name(proposal.id),
            storage=self.checkpoints.files.storage,
            threads=share.cpu,
            gpu=share.gpu,
            device=share.device,
            score_test=self.setting.score_test,
            epochs_done=max(self.journal.records[proposal.id].epochs, default=0),
            images_a_pass=self.journal.records[proposal.id].images_a_pass,
            own_code=own_code.allowed(),
        )

    @staticmethod
    def _model(params: Mapping[str, Any]) -> str:
        return params.get("model", FIELDS["model"].default)


def _network(params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say which network it is, options of the model among them."""
    return {key: value for key, value in params.items() if key in NETWORK or key not in FIELDS}


def _numbers(metrics: Mapping[str, Any], required: Iterable[str]) -> dict[str, float]:
    """The metrics alone; what is missing of the required ones is not a number."""
    told = {name: value for name, value in metrics.items() if name != "finished" and is_number(value)}
    return dict.fromkeys(required, math.nan) | told


def deadline(journal: Journal, hours: float | None) -> Callable[[], bool]:
    """Whether the search has used up its hours, earlier launches counted."""
    if hours is None:
        return lambda: False
    end = time.time() + hours * 3600 - journal.search_seconds
    return lambda: time.time() >= end
