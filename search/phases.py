"""Sessions in a row as one to an engine: the search, then its confirmation. No call of it raises.

An exception in one of an engine's hooks would end all that runs, so what goes wrong with the search's own state
halts it instead: cleanly, to be resumed.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from search.outcomes import Outcome
from search.session import Session
from search.trial import Task

SAID = ("lost", "images_a_pass")
"""What a step may say beside its metrics."""


class Phases:
    """Sessions one after the other, as one to an engine: workers live on from the search to its confirmation."""

    def __init__(self, sessions: Generator[Session, None, None]):
        """Begin with the first session; each further one is made when the one before it is done."""
        self._sessions = sessions
        self._current = next(sessions, None)
        self.halted: str | None = None
        """Why the search is ending before its end, None while it is not."""
        self.heard = 0
        """Epochs that trials have told of."""
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

    def report(self, id: str, result: Mapping[str, Any]) -> bool:
        """Take a step's result, as `TrialRun.step` returns it, and say whether the trial trains on."""
        if self._current is None:
            return False
        with self._halting():
            return self._heard(self._current, id, result)
        return False

    def halt(self, reason: str) -> None:
        """Begin no trial any more, and interrupt each at its next report: what hinders one will hinder all."""
        self.halted = self.halted or reason
        if self._current is not None:
            self._current.halted = self.halted

    def fail(self, id: str, error: str) -> None:
        """A trial's code raised."""
        self._tell(lambda session: session.fail(id, error))

    def died(self, id: str, error: str, node: str | None, *, of_memory: bool = False) -> None:
        """A trial's worker died, or was killed for memory: another one takes it up, unless it has too often."""
        self._tell(lambda session: session.died(id, error, node, of_memory=of_memory))

    def moved(self, id: str) -> None:
        """The node of a trial's worker was lost: another one takes the trial up."""
        self._tell(lambda session: session.moved(id))

    def lost_node(self, node: str) -> None:
        """A node was lost: the workers that died there were not at fault."""
        self._tell(lambda session: session.lost_node(node))

    def restart(self) -> None:
        """Begin what is running again, from its checkpoints: all workers are gone."""
        self._ahead = None
        self._tell(lambda session: session.restart())

    def close(self) -> None:
        """End here: what is running is interrupted."""
        self._tell(lambda session: session.interrupt())
        self._sessions.close()

    def _tell(self, what: Callable[[Session], None]) -> None:
        if self._current is not None:
            with self._halting():
                what(self._current)

    def _heard(self, session: Session, id: str, result: Mapping[str, Any]) -> bool:
        if "failure" in result:
            session.fail(id, result["failure"])
            return False
        if "lost" in result:
            session.lost(id, result["lost"])
        if "images_a_pass" in result:
            session.divided(id, result["images_a_pass"], "out of memory")
        if "unsaved" in result:
            remedy = "free some space, or make the folder writable, then --resume"
            self.halt(f"a checkpoint cannot be saved ({result['unsaved']}): {remedy}")
            session.end(id, Outcome.INTERRUPTED, str(self.halted))
            return False
        self.heard += 1
        goes_on = session.report(id, {name: value for name, value in result.items() if name not in SAID})
        if (too_much := session.checkpoints.shrink()) is not None:
            self.halt(too_much)
        return goes_on

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
