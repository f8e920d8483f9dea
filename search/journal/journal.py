"""The truth about a search: an append-only file of events (`contract.events`). The study and MLflow follow from it.

A line is one event as a JSON object, closed by `crc`, the CRC-32 of the line without it. A damaged line is left out
and counted; later events of a trial whose first line was damaged change nothing.
"""

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from contract.events import Event, Phase, TrialEnded, from_content
from contract.outcomes import Outcome
from search.journal.records import Launch, Records, TrialRecord


class AlreadyRunning(RuntimeError):
    """Another driver holds this search."""


class Journal:
    """The events of one search. Opening it takes the search's lock for as long as this process lives."""

    def __init__(self, path: Path):
        """Replay what is there, and be ready to append.

        Raises:
            AlreadyRunning: another process has it open.
            OSError: the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.listeners: list[Callable[[Event], None]] = []
        self.damaged = 0
        """Lines that were left out: they are not what was written."""
        self._replayed = Records()
        # Unbuffered: what could not be written must not be written later, behind what came after it.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (open as long as the search is)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise AlreadyRunning(f"another process is running the search in {path.parent}") from None
        truncate_partial_line(path)
        for line, _ in _whole_lines(path, 0):
            event = _decode(line)
            if event is None:
                self.damaged += 1
            else:
                self._replayed.replay(event)

    @property
    def records(self) -> dict[str, TrialRecord]:
        """The trials by id, in the order in which they began."""
        return self._replayed.trials

    @property
    def launches(self) -> list[Launch]:
        """The drivers that have run the search, in order."""
        return self._replayed.launches

    def append(self, event: Event) -> None:
        """Write an event, then tell the listeners.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        self._write(encode(event))
        self._replayed.replay(event)
        for listener in self.listeners:
            listener(event)

    def interrupt_unfinished(self) -> None:
        """Interrupt the trials that an earlier driver left running when it was killed."""
        for record in self.records.values():
            if record.outcome is None:
                self.append(
                    TrialEnded(
                        id=record.id, outcome=Outcome.INTERRUPTED, reason="the driver died", epoch=record.last_epoch
                    )
                )

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._file.close()

    def trials(self, phase: Phase) -> list[TrialRecord]:
        """The trials of one phase, in the order in which they began."""
        return [record for record in list(self.records.values()) if record.phase == phase]

    @property
    def seconds(self) -> float:
        """Wall time of all launches so far."""
        return sum(launch.ended - launch.began for launch in self.launches)

    @property
    def search_seconds(self) -> float:
        """The part of it that was not spent on confirmation."""
        return sum(launch.searched - launch.began for launch in self.launches)

    def _write(self, line: bytes) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
            if written != len(line):  # the rest does not fit on the disk
                self._file.write(line[written:])
        except OSError:
            self._file.truncate(end)
            raise


def read(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """The events from a byte offset on, each with the offset behind it.

    Half a last line and damaged lines are left out.
    """
    for line, end in _whole_lines(path, offset):
        event = _decode(line)
        if event is not None:
            yield event, end


def encode(event: Event) -> bytes:
    """An event as a line of the file."""
    content = json.dumps(event.content())
    return f'{content[:-1]}, "crc": "{zlib.crc32(content.encode()):08x}"}}\n'.encode()


def truncate_partial_line(path: Path) -> None:
    """Cut off what a killed writer left of its last line; for the file's only writer, before it appends."""
    if not path.exists():
        return
    with open(path, "rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _whole_lines(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    with open(path, "rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def _decode(line: bytes) -> Event | None:
    """The event of a line; None if the line is not what was written."""
    content, _, checksum = line.rpartition(b', "crc": ')
    content += b"}"
    if checksum != b'"%08x"}\n' % zlib.crc32(content):
        return None
    try:
        return from_content(json.loads(content))
    except ValueError:  # whole, but written by another version of this program
        return None
