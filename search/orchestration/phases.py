"""Sessions in a row as one to a backend: the search, then its confirmation. No call of it raises.

An exception in one of a backend's hooks would end all that runs, so what goes wrong with the search's own state
halts it instead: cleanly, to be resumed.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator

from contract.outcomes import Outcome
from contract.steps import StateNotSaved, StepResult, TrialFailed
from search.orchestration.session import Session
from search.trial.task import Task


class Phases:
    """Sessions one after the other, as one to a backend: workers live on from the search to its confirmation."""

    def __init__(self, sessions: Generator[Session, None, None]):
        """Begin with the first session; each further one is made when the one before it is done."""
        self._sessions = sessions
        self._current = next(sessions, None)
        self.halted: str | None = None
        """Why the search is ending before its end, None while it is not."""
        self.epochs_reported = 0
        self._ahead: Task | None = self._advance()

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will start, in this session or a later one."""
        return self.halted is not None or (self._current is None and self._ahead is None)

    def next(self) -> Task | None:
        """The next trial to start; None when it must wait for others, or the phases are exhausted."""
        if self.halted:
            return None
        with self._halting():
            task, self._ahead = self._ahead or self._advance(), None
            return task
        return None

    def report(self, id: str, result: StepResult) -> bool:
        """Take what a step of a trial gave, and say whether the trial continues."""
        if self._current is None:
            return False
        with self._halting():
            return self._take(self._current, id, result)
        return False

    def halt(self, reason: str) -> None:
        """Start no trial any more, and interrupt each at its next report: what hinders one will hinder all."""
        self.halted = self.halted or reason
        if self._current is not None:
            self._current.halted = self.halted

    def fail(self, id: str, error: str) -> None:
        """Fail a trial whose code raised."""
        self._forward(lambda session: session.fail(id, error))

    def on_worker_died(self, id: str, error: str, node: str | None, *, out_of_memory: bool = False) -> None:
        """Have another worker continue a trial whose worker died, unless that has happened too often."""
        self._forward(lambda session: session.on_worker_died(id, error, node, out_of_memory=out_of_memory))

    def reschedule(self, id: str) -> None:
        """Have another worker continue a trial whose node was lost."""
        self._forward(lambda session: session.reschedule(id))

    def on_node_lost(self, node: str) -> None:
        """Forget the deaths of workers on a node that was lost."""
        self._forward(lambda session: session.on_node_lost(node))

    def restart(self) -> None:
        """Have everything that runs continued by new workers: the old ones are gone."""
        self._ahead = None
        self._forward(lambda session: session.restart())

    def close(self) -> None:
        """End here: what is running is interrupted."""
        self._forward(lambda session: session.interrupt())
        self._sessions.close()

    def _forward(self, call: Callable[[Session], None]) -> None:
        if self._current is not None:
            with self._halting():
                call(self._current)

    def _take(self, session: Session, id: str, result: StepResult) -> bool:
        if result.restore_notice:
            session.note_restore(id, result.restore_notice)
        if result.micro_batch is not None:
            session.set_micro_batch(id, result.micro_batch, "out of memory")
        if isinstance(result, TrialFailed):
            session.fail(id, result.traceback)
            return False
        if isinstance(result, StateNotSaved):
            remedy = "free some space, or make the folder writable, then --resume"
            self.halt(f"a checkpoint cannot be saved ({result.reason}): {remedy}")
            session.end(id, Outcome.INTERRUPTED, str(self.halted))
            return False
        self.epochs_reported += 1
        continues = session.report(id, result)
        if (too_much := session.checkpoints.keep_to_budget()) is not None:
            self.halt(too_much)
        return continues

    @contextlib.contextmanager
    def _halting(self) -> Iterator[None]:
        """Halt where the state of the search cannot be written: the engines' hooks must not raise."""
        try:
            yield
        except OSError as error:
            self.halt(f"the search's state cannot be written ({error}): free some space, then --resume")

    def _advance(self) -> Task | None:
        while self._current is not None:
            task = self._current.next()
            if task is not None or self._current.running:
                return task
            self._current = next(self._sessions, None)
        return None
