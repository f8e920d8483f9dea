"""A stretch of the journal by trial, as MLflow is told of it: one request a trial for what were many events."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from search.journal import Event, read

PARENT = ""
"""The search itself where trials are named."""


@dataclass
class Unsent:
    """What is to be said of one trial, or of the search."""

    begin: Event | None = None
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    """Name, value, time in ms and step."""
    end: Event | None = None
    tags: dict[str, str] = field(default_factory=dict)
    events: int = 0


def take(journal: Path, offset: int, most: int, first_metric: str) -> tuple[dict[str, Unsent], int]:
    """The next events of a journal by trial, those of the search under PARENT, and the offset behind them.

    Args:
        first_metric: the one that comes first in each epoch.
    """
    found: dict[str, Unsent] = {}
    for event, behind in islice(read(journal, offset), most):
        offset = behind
        if event["event"] in ("trial", "epoch", "end", "memory"):
            _add(found.setdefault(event["id"], Unsent()), event, first_metric)
        elif event["event"] == "best":
            value = (f"best_{event['metric']}", event["value"], _ms(event), event["trial"])
            found.setdefault(PARENT, Unsent()).metrics.append(value)
            found[PARENT].events += 1
        elif event["event"] == "space":
            for id in (*event["outside"], *event["inside"]):
                found.setdefault(id, Unsent()).tags["search.outside"] = str(id in event["outside"]).lower()
    return found, offset


def _add(unsent: Unsent, event: Event, first_metric: str) -> None:
    unsent.events += 1
    if event["event"] == "trial":
        unsent.begin, unsent.end = event, None
    elif event["event"] == "end":
        unsent.end = event
    elif event["event"] == "memory":
        unsent.tags["images_a_pass"] = str(event["images_a_pass"])
    else:
        metrics = event["metrics"]
        names = sorted(metrics, key=lambda name: name != first_metric)
        unsent.metrics += [
            (name, metrics[name], _ms(event), int(metrics["epoch"])) for name in names if name != "epoch"
        ]


def _ms(event: Event) -> int:
    return int(event["time"] * 1000)
