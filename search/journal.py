"""The truth about a search: an append-only file of events. The study and MLflow's record follow from it.

One JSON object a line. `event` is one of
  launch  a driver started: on (what it runs on), concurrent (trials at a time), command (when it was given)
  space   the space was changed: outside (ids of the trials that do not fit it), inside (of those that fit it again)
  trial   a trial started, or went on after an interruption: id, number, phase, params, of
  epoch   an epoch ended: id, epoch, metrics
  end     a trial ended: id, outcome, reason, epoch (the last one done)
  lost    a trial goes on from before its last epoch: id, text (why, and from where)
  memory  a trial has fewer images at a time from now on: id, images_a_pass, reason (empty: it is like an earlier one)
  best    a trial became the best: id, trial, metric, value
`time` is in seconds since 1970, and `crc` the CRC-32 of the line without it: a damaged line is left out.
"""

import fcntl
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search.outcomes import Outcome

Event = dict[str, Any]
Phase = Literal["search", "confirm"]


class AlreadyRunning(RuntimeError):
    """Another driver holds this search."""


@dataclass
class TrialRecord:
    """What the journal says of one trial."""

    id: str
    number: int
    """Of the trial in the study; for a confirmation, of the trial that it confirms."""
    phase: Phase
    params: dict[str, Any]
    """Every hyperparameter in effect, flat."""
    started: float
    epochs: dict[int, dict[str, float]] = field(default_factory=dict)
    """Metrics by epoch (from 1)."""
    outcome: Outcome | None = None
    """None while it runs."""
    reason: str = ""
    images_a_pass: int | None = None
    """The most that go through its network at once, where memory would not suffice for more."""
    ended: float | None = None
    outside: bool = False
    """Whether its settings do not fit the space any more, since a resume changed it: it teaches and wins nothing."""

    @property
    def last(self) -> dict[str, float]:
        """Metrics of the last epoch, empty before the first."""
        return self.epochs[max(self.epochs)] if self.epochs else {}


@dataclass
class Launch:
    """One driver's time, in seconds since 1970."""

    began: float
    ended: float
    """Its last event."""
    searched: float
    """The last event of the search, before any confirmation."""


class Journal:
    """The events of one search. Opening it takes the search's lock for as long as this process lives."""

    def __init__(self, path: Path):
        """Read what is there, and be ready to append.

        Raises:
            AlreadyRunning: another process has it open.
            OSError: the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.records: dict[str, TrialRecord] = {}
        self.launches: list[Launch] = []
        self.listeners: list[Callable[[Event], None]] = []
        self.damaged = 0
        """Lines that were left out: they are not what was written."""
        # Unbuffered: what could not be written must not be written later, behind what came after it.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (open as long as the search is)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise AlreadyRunning(f"another process is running the search in {path.parent}") from None
        drop_half_line(path)
        for line, _ in _whole_lines(path, 0):
            event = _decoded(line)
            if event is None:
                self.damaged += 1
            else:
                self._apply(event)

    def append(self, event: str, **content: Any) -> None:
        """Write an event, then tell the listeners.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        entry = {"event": event, "time": time.time(), **content}
        self._write(encoded(entry))
        self._apply(entry)
        for listener in self.listeners:
            listener(entry)

    def close_trials(self) -> None:
        """Interrupt the trials that an earlier driver left running when it was killed."""
        for record in self.records.values():
            if record.outcome is None:
                last = max(record.epochs, default=0)
                self.append("end", id=record.id, outcome=Outcome.INTERRUPTED, reason="the driver died", epoch=last)

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._file.close()

    def of(self, phase: Phase) -> list[TrialRecord]:
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

    def _apply(self, event: Event) -> None:
        kind, now = event["event"], event["time"]
        if kind in ("epoch", "end", "best") and event["id"] not in self.records:
            return  # the line that began the trial is damaged
        if kind == "launch":
            self.launches.append(Launch(now, now, now))
        elif self.launches:
            self.launches[-1].ended = now
        if kind == "trial":
            known = self.records.get(event["id"])
            if known is None:
                self.records[event["id"]] = TrialRecord(
                    event["id"], event["number"], event["phase"], event["params"], now
                )
            else:
                known.outcome, known.reason, known.ended = None, "", None
        elif kind == "space":
            for id in {*event["outside"], *event["inside"]} & set(self.records):
                self.records[id].outside = id in event["outside"]
        elif kind == "epoch":
            self.records[event["id"]].epochs[event["metrics"]["epoch"]] = event["metrics"]
        elif kind == "memory":
            self.records[event["id"]].images_a_pass = event["images_a_pass"]
        elif kind == "end":
            record = self.records[event["id"]]
            record.outcome, record.reason, record.ended = Outcome(event["outcome"]), event["reason"], now
        if self.launches and "id" in event and self.records[event["id"]].phase == "search":
            self.launches[-1].searched = now


def read(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """The events from a byte offset on, each with the offset behind it; half a last line and damage are left out."""
    for line, end in _whole_lines(path, offset):
        event = _decoded(line)
        if event is not None:
            yield event, end


def _whole_lines(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    with open(path, "rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def encoded(event: Event) -> bytes:
    """An event as a line of the file."""
    content = json.dumps(event)
    return f'{content[:-1]}, "crc": "{zlib.crc32(content.encode()):08x}"}}\n'.encode()


def _decoded(line: bytes) -> Event | None:
    """The event of a line; None if the line is not what was written."""
    content, _, checksum = line.rpartition(b', "crc": ')
    content += b"}"
    if checksum != b'"%08x"}\n' % zlib.crc32(content):
        return None
    return json.loads(content)


def drop_half_line(path: Path) -> None:
    """Cut off what a killed writer left of its last line; for the file's only writer, before it appends."""
    if not path.exists():
        return
    with open(path, "rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def leaders(records: Iterable[TrialRecord], metric: str, maximize: bool) -> list[TrialRecord]:
    """The trials with a usable value, best first: the metric after each one's last epoch.

    Among equals the one that trained longer comes first. Failed, diverged and unfinished trials have none, and
    those outside the space are left out.
    """
    usable = [r for r in records if r.outcome in (Outcome.COMPLETED, Outcome.STOPPED) and r.epochs and not r.outside]
    sign = -1 if maximize else 1
    return sorted(usable, key=lambda r: (sign * r.last[metric], -len(r.epochs), r.number))
