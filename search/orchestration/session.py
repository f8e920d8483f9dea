"""One phase of a search in progress: proposes trials, takes their epochs, decides whether they continue. Free of Ray.

The backends only carry tasks to workers and step results back. Everything that happens is written to the journal first.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contract.events import (
    SEARCH,
    BestFound,
    EpochEnded,
    MicroBatchSet,
    StateLost,
    TrialEnded,
    TrialStarted,
)
from contract.metrics import LOSSES, Metrics, is_number
from contract.outcomes import Outcome
from contract.redaction import redact
from contract.steps import EpochDone
from search.journal.journal import Journal
from search.journal.memory import known_micro_batch
from search.journal.records import TrialRecord
from search.journal.retention import Checkpoints, DiskFiles, StateFiles, StoredFiles
from search.orchestration.divergence import divergence
from search.orchestration.proposal import Proposal, Proposer
from search.orchestration.session_config import SessionConfig
from search.storage.layout import Layout
from search.study.asha import Asha
from search.trial.task import Task
from trainables import own_code
from trainables.config import FIELDS, TrainConfig

HOPELESS_FAILURES = 5
"""So many failures at the very start end a session."""


class Session:
    """Trials of one phase of a search, from wherever the journal says they stand."""

    def __init__(
        self,
        config: SessionConfig,
        journal: Journal,
        proposer: Proposer,
        scheduler: Asha,
        out_of_time: Callable[[], bool] = lambda: False,
    ):
        """Rebuild the scheduler's rungs from the journal; unfinished trials come first."""
        self.config = config
        self.journal = journal
        self.proposer = proposer
        self.scheduler = scheduler
        self.out_of_time = out_of_time
        self.running: set[str] = set()
        self._unfinished = [r for r in self.records() if r.outcome is Outcome.INTERRUPTED and not r.outside]
        self._exhausted = False
        self._deaths: dict[str, list[str | None]] = {}
        """The nodes on which workers died, by trial."""
        self.halted: str | None = None
        """Why nothing may start or continue, None while all may."""
        files: StateFiles = StoredFiles(config.mirror) if config.mirror else DiskFiles(config.folder)
        self.checkpoints = Checkpoints(files, config.keep, config.checkpoint_bytes, config.metric, config.maximize)
        self.checkpoints.begin(r for r in self.records() if r not in self._unfinished)
        for record in self.records():
            history: list[Metrics] = []
            for epoch, metrics in sorted(record.epochs.items()):
                history.append(metrics)
                if not record.outside and self._divergence(record, history) is None:
                    scheduler.should_continue(record.id, epoch, metrics[config.metric])

    def records(self) -> list[TrialRecord]:
        """All trials of this phase, those outside the space too."""
        return self.journal.trials(self.config.phase)

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will start."""
        done = self._exhausted and not self._unfinished
        return self.halted is not None or done or self.hopeless or self.out_of_time()

    @property
    def hopeless(self) -> bool:
        """Whether the first trials all failed before their first epoch: more would fail alike."""
        # Asked with each result, so not of `records`, which goes through all of them.
        begun = (r for r in self.journal.records.values() if r.phase == self.config.phase)
        records = list(itertools.islice(begun, HOPELESS_FAILURES))
        return len(records) == HOPELESS_FAILURES and all(r.outcome is Outcome.FAILED and not r.epochs for r in records)

    def next(self) -> Task | None:
        """The next trial to start; None when all slots are taken or the session is exhausted."""
        if self.exhausted:
            return None
        running = [self._model(self.journal.records[id].params) for id in self.running]
        if not self.config.slots.room(running):
            if not self._unfinished:
                self.proposer.prepare()
            return None
        if self._unfinished:
            record = self._unfinished[0]
            proposal = Proposal(record.id, record.number, record.params)
            if not self.config.slots.room(running, self._model(proposal.params)):
                return None
            self._unfinished.pop(0)
        else:
            new = self.proposer.propose()
            if new is None:
                self._exhausted = True
                return None
            if not self.config.slots.room(running, self._model(new.params)):
                self.proposer.put_back(new)
                return None
            proposal = Proposal(new.id, new.number, TrainConfig.from_params(new.params).in_effect())
        self.running.add(proposal.id)
        self.journal.append(
            TrialStarted(id=proposal.id, number=proposal.number, phase=self.config.phase, params=dict(proposal.params))
        )
        record = self.journal.records[proposal.id]
        if (smallest := known_micro_batch(record, self.journal.records.values())) is not None:
            self.set_micro_batch(record.id, smallest)
        return self._task(proposal)

    def report(self, id: str, done: EpochDone) -> bool:
        """Take an epoch of a trial, and say whether the trial continues. To take an epoch twice is harmless.

        What was reported and is no number is left out; a loss or an objective that is missing is written down as not
        a number.
        """
        record = self.journal.records[id]
        if id not in self.running:
            return False
        if (problem := self._report_problem(record, done)) is not None:
            self.end(id, Outcome.FAILED, problem)
            return False
        diverged = self._diverged(record, done)
        if done.epoch not in record.epochs:
            self.journal.append(EpochEnded(id=id, epoch=done.epoch, metrics=self._numbers(done.metrics)))
            if diverged is None:
                self.proposer.report(record, done.epoch, done.metrics)
        if self.halted:
            self.end(id, Outcome.INTERRUPTED, self.halted)
        elif done.epoch < record.last_epoch:  # trained again after its loss: what followed from it has been decided
            return True
        elif diverged is not None:
            self.end(id, Outcome.DIVERGED, diverged)
        else:
            self._decide(record, done)
        return id in self.running

    def _decide(self, record: TrialRecord, done: EpochDone) -> None:
        """End a trial after its newest epoch, unless it continues."""
        promoted = self.scheduler.should_continue(record.id, done.epoch, done.metrics[self.config.metric])
        if done.finished:
            early = done.epoch < record.params["epochs"]
            self.end(record.id, Outcome.COMPLETED, f"early stopping at epoch {done.epoch}" if early else "")
        elif not promoted:
            self.end(record.id, Outcome.STOPPED, f"at rung {done.epoch}")
        elif self.out_of_time():
            self.end(record.id, Outcome.INTERRUPTED, "budget.hours is used up")

    def _report_problem(self, record: TrialRecord, done: EpochDone) -> str | None:
        """Why a report cannot be taken, or None."""
        if not isinstance(done.epoch, int) or isinstance(done.epoch, bool) or done.epoch < 1:
            return f"it reported {done.epoch!r} as the number of an epoch, not 1 or more"
        if self.config.metric not in {*done.metrics, *record.last}:
            reported = ", ".join(sorted(done.metrics)) or "nothing"
            return f"it did not report {self.config.metric}, the objective, but {reported}"
        return None

    def _diverged(self, record: TrialRecord, done: EpochDone) -> str | None:
        before = [record.epochs[epoch] for epoch in sorted(record.epochs) if epoch < done.epoch]
        return self._divergence(record, [*before, done.metrics])

    def fail(self, id: str, error: str) -> None:
        """A trial's code raised, or its worker died too often. The whole error goes to a file."""
        if id not in self.running:
            return
        error = redact(error)
        path = Layout(self.config.folder).error(id)
        path.parent.mkdir(exist_ok=True)
        path.write_text(error)
        self.end(id, Outcome.FAILED, f"{error.strip().splitlines()[-1]} (all of it: {path})")

    def on_worker_died(self, id: str, error: str, node: str | None = None, *, out_of_memory: bool = False) -> None:
        """Have another worker continue a trial whose worker died, unless that has happened too often.

        Args:
            id: the trial's.
            error: what Ray says.
            node: where the worker was.
            out_of_memory: whether it was killed for memory; the micro-batch is then halved.
        """
        if id not in self.running:
            return
        deaths = self._deaths.setdefault(id, [])
        deaths.append(node)
        if len(deaths) <= self.config.retries:
            if out_of_memory:
                self._halve_micro_batch(id)
            self._reschedule([id])
            return
        times = "once" if len(deaths) == 1 else f"{len(deaths)} times"
        why = ", at last killed for memory" if out_of_memory else ""
        self.fail(id, f"{error}\nThe trial's worker died {times}{why}.")

    def reschedule(self, id: str) -> None:
        """Have another worker continue a trial whose node was lost: that is no death of its worker."""
        if id in self.running:
            self._reschedule([id])

    def on_node_lost(self, node: str) -> None:
        """Forget the deaths of workers on a node that was lost: they were not at fault."""
        self._deaths = {id: [where for where in nodes if where != node] for id, nodes in self._deaths.items()}

    def end(self, id: str, outcome: Outcome, reason: str = "") -> None:
        """Close a trial, once."""
        if id not in self.running:
            return
        self.running.discard(id)
        record = self.journal.records[id]
        self.journal.append(TrialEnded(id=id, outcome=outcome, reason=reason, epoch=record.last_epoch))
        self.proposer.end(record)
        if outcome is Outcome.INTERRUPTED:
            return
        self.checkpoints.end(record)
        if self.config.phase == SEARCH and self.checkpoints.best[:1] == [record]:
            metric = self.config.metric
            self.journal.append(BestFound(id=id, number=record.number, metric=metric, value=record.last[metric]))

    def restart(self) -> None:
        """Have everything that runs continued by new workers: the old ones are gone."""
        self._reschedule(sorted(self.running))

    def _reschedule(self, ids: Sequence[str]) -> None:
        """Have trials continued before any other is started, from their checkpoints."""
        self._unfinished = [self.journal.records[id] for id in ids] + self._unfinished
        self.running.difference_update(ids)

    def interrupt(self) -> None:
        """Close what is still running; a resumed search continues it."""
        for id in sorted(self.running):
            self.end(id, Outcome.INTERRUPTED, self.halted or "the search was ended")

    def note_restore(self, id: str, text: str) -> None:
        """Write down that a trial could not continue from where it was, and where it continues from."""
        if id in self.running:
            self.journal.append(StateLost(id=id, text=text))

    def set_micro_batch(self, id: str, micro_batch: int, reason: str = "") -> None:
        """Write down the micro-batch that a trial has from now on; trials like it will begin with it."""
        if id in self.running and self.journal.records[id].micro_batch != micro_batch:
            self.journal.append(MicroBatchSet(id=id, micro_batch=micro_batch, reason=reason))

    def _halve_micro_batch(self, id: str) -> None:
        record = self.journal.records[id]
        half = math.ceil((record.micro_batch or record.params["batch_size"]) / 2)
        self.set_micro_batch(id, half, "its worker was killed for memory")

    def _divergence(self, record: TrialRecord, history: Sequence[Metrics]) -> str | None:
        return divergence(history, self.config.classes, record.params["loss"], self.config.metric)

    def _numbers(self, metrics: Metrics) -> dict[str, float]:
        reported = {name: value for name, value in metrics.items() if is_number(value)}
        return dict.fromkeys((*LOSSES, self.config.metric), math.nan) | reported

    def _task(self, proposal: Proposal) -> Task:
        share = self.config.slots.shares[self._model(proposal.params)]
        return Task(
            id=proposal.id,
            params=dict(proposal.params),
            data=self.config.data.content(),
            checkpoint=self.checkpoints.files.name(proposal.id),
            storage=self.checkpoints.files.storage,
            threads=share.cpu,
            gpu=share.gpu,
            device=share.device,
            score_test=self.config.score_test,
            epochs_done=self.journal.records[proposal.id].last_epoch,
            micro_batch=self.journal.records[proposal.id].micro_batch,
            own_code=own_code.allowed(),
        )

    @staticmethod
    def _model(params: Mapping[str, Any]) -> str:
        return str(params.get("model", FIELDS["model"].default))


def deadline(journal: Journal, hours: float | None) -> Callable[[], bool]:
    """Whether the search has used up its hours, earlier launches counted."""
    if hours is None:
        return lambda: False
    end = time.time() + hours * 3600 - journal.search_seconds
    return lambda: time.time() >= end
