"""The events of a search, as its journal keeps them: one class for each kind of line.

Each class is one kind of line, with the line's fields. All are plain values, so that a line is JSON.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from contract.metrics import Metrics
from contract.outcomes import Outcome

Phase = Literal["search", "confirm"]
SEARCH: Phase = "search"
CONFIRM: Phase = "confirm"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a search."""

    kind: ClassVar[str]
    time: float = field(default_factory=lambda: time.time())  # looked up at the call, for tests that set the clock
    """Seconds since 1970."""

    def content(self) -> dict[str, Any]:
        """The event as a plain mapping, as `from_content` takes it."""
        return {"event": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """Something that happened to one trial."""

    id: str


@dataclass(frozen=True, kw_only=True)
class DriverStarted(Event):
    """A driver began to run the search, or to continue it."""

    kind: ClassVar[str] = "launch"
    resources: str
    """What it runs on, in words."""
    concurrent: int = 1
    """Trials at a time."""
    command_time: float = 0.0
    """When the command was given, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class SpaceChanged(Event):
    """A resume came with another search space."""

    kind: ClassVar[str] = "space"
    outside: Sequence[str]
    """Ids of the trials that do not fit it."""
    inside: Sequence[str]
    """Ids of the trials that fit again, and did not before."""


@dataclass(frozen=True, kw_only=True)
class TrialStarted(TrialEvent):
    """A trial began, or continues after an interruption."""

    kind: ClassVar[str] = "trial"
    number: int
    """The trial's number in the study; for a confirmation run, that of the trial that it confirms."""
    phase: Phase
    params: Mapping[str, Any]
    """Every hyperparameter in effect, flat."""


@dataclass(frozen=True, kw_only=True)
class EpochEnded(TrialEvent):
    """A trial reported an epoch."""

    kind: ClassVar[str] = "epoch"
    epoch: int
    """The first is 1."""
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class TrialEnded(TrialEvent):
    """A trial has its outcome."""

    kind: ClassVar[str] = "end"
    outcome: Outcome
    reason: str
    epoch: int
    """The last one that was done; 0 before the first."""


@dataclass(frozen=True, kw_only=True)
class StateLost(TrialEvent):
    """A trial continues from before its last epoch."""

    kind: ClassVar[str] = "lost"
    text: str
    """Why, and from where."""


@dataclass(frozen=True, kw_only=True)
class MicroBatchSet(TrialEvent):
    """A trial has a smaller micro-batch from now on."""

    kind: ClassVar[str] = "memory"
    micro_batch: int
    reason: str
    """Empty where the trial is like an earlier one that needed it."""


@dataclass(frozen=True, kw_only=True)
class BestFound(TrialEvent):
    """A trial became the best of the search."""

    kind: ClassVar[str] = "best"
    number: int
    metric: str
    value: float


KINDS: dict[str, type[Event]] = {
    kind.kind: kind
    for kind in (
        DriverStarted,
        SpaceChanged,
        TrialStarted,
        EpochEnded,
        TrialEnded,
        StateLost,
        MicroBatchSet,
        BestFound,
    )
}


def from_content(content: Any) -> Event:
    """The event that `Event.content` was made of, after a journey through JSON.

    Raises:
        ValueError: it is of no known kind, or has other fields than its kind.
    """
    given = dict(content) if isinstance(content, Mapping) else {}
    kind = KINDS.get(given.pop("event", None))
    if kind is None or set(given) != {f.name for f in fields(kind)}:
        raise ValueError(f"no event of a search: {content!r:.200}")
    if kind is TrialEnded:
        given["outcome"] = Outcome(given["outcome"])
    return kind(**given)
