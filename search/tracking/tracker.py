"""MLflow's record of a search: a projection of the journal, written behind the search's back.

A thread reads the journal from where it last got to, and sends what is new every few seconds: the
search never waits for the server, and what a server that is down has not heard is sent later, in
order. How far it got is kept beside the journal, so a resumed search sends the rest; after any failure
the runs are looked for anew, so that none is made twice for an answer that was lost.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contract.events import TrialStarted
from contract.formatting import first_line
from contract.locations import is_server
from contract.redaction import redact
from search.journal.journal import read
from search.storage.layout import Layout
from search.tracking.pending import PARENT, Pending, read_batch
from search.tracking.position import SentPosition
from search.tracking.runs import SearchRuns
from search.tracking.server import Client, without_retries

INTERVAL_S = 2.0
"""Seconds between two batches."""
MAX_PAUSE_S = 30.0
"""Seconds between two attempts while the server does not answer."""
EVENTS_A_BATCH = 1000
"""Events that are sent before it is noted that they were."""
SENDERS = 8
"""Trials that a server is told of at the same time: with one that takes seconds to answer the record would lag."""


class Tracker:
    """Sends a journal to MLflow until it is closed."""

    def __init__(
        self,
        journal: Path,
        uri: str,
        experiment: str,
        tags: dict[str, str],
        first_metric: str,
        artifacts: Sequence[Path] = (),
    ):
        """Begin to send.

        Args:
            journal: the search's file of events.
            uri: the address of MLflow's record.
            experiment: the name of MLflow's experiment.
            tags: of the parent run and of every trial's; `search.id`, `data` and `data.fingerprint` among them.
            first_metric: the one that MLflow's comparison shows unasked: it takes the first that was logged.
            artifacts: files of the parent run, there from the start.
        """
        self.journal, self.uri = journal, uri
        self._first_metric, self._artifacts = first_metric, artifacts
        self.error: str | None = None
        """Why the last attempt to send failed, None when it did not."""
        self._sent_position = SentPosition(journal, Layout(journal.parent).position, redact(uri))
        self._read_offset = self._sent_position.offset
        """The byte behind the events that were sent or are in `_pending`."""
        self._pending: dict[str, Pending] = {}
        self._runs = SearchRuns(uri, experiment, tags, self._note_answer)
        self._connected = self._sent = False
        self._last_answer = time.monotonic()
        self._closing, self._abandoned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def left(self) -> int:
        """How many events of the journal were not sent."""
        return sum(pending.events for pending in list(self._pending.values())) + sum(
            1 for _ in read(self.journal, self._read_offset)
        )

    @property
    def behind(self) -> bool:
        """Whether the journal holds events that were not sent."""
        return self.left > 0

    def close(self, patience_s: float, waiting: Callable[[int], None] | None = None) -> bool:
        """Send what is left; give up when nothing got through for so many seconds.

        Args:
            patience_s: the seconds.
            waiting: called several times a second with the number of events that are left.

        Returns:
            Whether all has been sent.
        """
        self._last_answer = time.monotonic()
        self._closing.set()
        try:
            while self._thread.is_alive() and time.monotonic() - self._last_answer < patience_s:
                if waiting is not None:
                    waiting(self.left)
                self._thread.join(0.25)
        finally:
            self._abandoned.set()
        return self._sent

    @property
    def client(self) -> Client:
        """The client, once connected."""
        return self._runs.client

    @property
    def parent_id(self) -> str:
        """The MLflow run of the search, once connected."""
        return self._runs.ids[PARENT]

    def run_id(self, trial: str) -> str:
        """The MLflow run of a trial whose events were sent."""
        return self._runs.ids[trial]

    def _note_answer(self) -> None:
        """Note that the server has answered; while it fails, the same answers again are no progress."""
        if self.error is None:
            self._last_answer = time.monotonic()

    def _work(self) -> None:
        pause = INTERVAL_S
        while not self._abandoned.is_set():
            closing, before = self._closing.is_set(), self._last_answer
            try:
                with without_retries():
                    self._connect()
                    self._send()
                    if closing and not self.behind:
                        self._runs.find()  # what was given up as unanswered may have been done since
                        self._sent = True
                        return
                self.error, pause = None, INTERVAL_S
            except Exception as error:  # whatever a server, a proxy or a database can answer with
                self.error = redact(f"{type(error).__name__}: {first_line(error)}")
                self._connected = False
                pause = INTERVAL_S if self._last_answer > before else min(pause * 2, MAX_PAUSE_S)
            if not self._closing.is_set():
                self._closing.wait(pause)
            elif self.error:
                self._abandoned.wait(INTERVAL_S)

    def _connect(self) -> None:
        """Find or make the runs; where trials that were sent have none, send everything again."""
        if self._connected:
            return
        self._runs.open(self._artifacts)
        begun = {
            event.id
            for event, offset in read(self.journal)
            if isinstance(event, TrialStarted) and offset <= self._read_offset
        }
        if not begun <= {*self._runs.ids, *self._pending}:  # another database, an older one, or runs were deleted
            self._read_offset, self._pending = 0, {}
        self._connected = True

    def _send(self) -> None:
        """Send what is new, up to the journal's end."""
        while not self._abandoned.is_set():
            if not self._pending:
                if self._read_offset != self._sent_position.offset:
                    self._sent_position.save(self._read_offset)
                start = self._read_offset
                self._pending, self._read_offset = read_batch(self.journal, start, EVENTS_A_BATCH, self._first_metric)
                if self._read_offset == start:
                    return
            self._write_pending()

    def _write_pending(self) -> None:
        """Write what is pending, of several trials at once; what could not be written stays, behind the others."""
        trials = iter(list(self._pending))
        errors: list[Exception] = []

        def send() -> None:
            for trial in trials:
                if errors or self._abandoned.is_set():
                    return
                pending = self._pending[trial]
                try:
                    self._runs.write(trial, pending)
                    del self._pending[trial]
                    self._last_answer = time.monotonic()
                except Exception as error:
                    self._pending[trial] = self._pending.pop(trial)
                    errors.append(error)

        # Threads of our own: those of a pool would keep the process from ending while the server does not answer.
        count = min(SENDERS if is_server(self.uri) else 1, len(self._pending))
        senders = [threading.Thread(target=send, name=f"tracking-{i}", daemon=True) for i in range(count)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        if errors:
            raise errors[0]
