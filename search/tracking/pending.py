"""A stretch of the journal by trial, as MLflow is told of it: one request a trial for what were many events."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from contract import record
from contract.events import BestFound, EpochEnded, Event, MicroBatchSet, SpaceChanged, TrialEnded, TrialStarted
from search.journal.journal import read

PARENT = ""
"""The search itself where trials are named."""


@dataclass
class Pending:
    """What is to be written of one trial, or of the search."""

    begin: TrialStarted | None = None
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    """Name, value, time in ms and step."""
    end: TrialEnded | None = None
    tags: dict[str, str] = field(default_factory=dict)
    events: int = 0


def read_batch(journal: Path, offset: int, limit: int, first_metric: str) -> tuple[dict[str, Pending], int]:
    """The next events of a journal by trial, those of the search under PARENT, and the offset behind them.

    Args:
        journal: the file.
        offset: bytes of it that were read before.
        limit: events at the most.
        first_metric: the one that comes first in each epoch.
    """
    batch: dict[str, Pending] = {}
    for event, behind in islice(read(journal, offset), limit):
        offset = behind
        if isinstance(event, TrialStarted | EpochEnded | TrialEnded | MicroBatchSet):
            _add(batch.setdefault(event.id, Pending()), event, first_metric)
        elif isinstance(event, BestFound):
            parent = batch.setdefault(PARENT, Pending())
            parent.metrics.append((f"{record.BEST}{event.metric}", event.value, _ms(event), event.number))
            parent.events += 1
        elif isinstance(event, SpaceChanged):
            for id in (*event.outside, *event.inside):
                outside = record.boolean(id in event.outside)
                batch.setdefault(id, Pending()).tags[record.OUTSIDE] = outside
    return batch, offset


def _add(pending: Pending, event: TrialStarted | EpochEnded | TrialEnded | MicroBatchSet, first_metric: str) -> None:
    pending.events += 1
    if isinstance(event, TrialStarted):
        pending.begin, pending.end = event, None
    elif isinstance(event, TrialEnded):
        pending.end = event
    elif isinstance(event, MicroBatchSet):
        pending.tags[record.MICRO_BATCH] = str(event.micro_batch)
    else:
        names = sorted(event.metrics, key=lambda name: name != first_metric)
        pending.metrics += [(name, event.metrics[name], _ms(event), event.epoch) for name in names]


def _ms(event: Event) -> int:
    return int(event.time * 1000)
