"""A trial that is to be run, and what a session asks for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from contract.metrics import Metrics
from search.journal.records import TrialRecord


@dataclass(frozen=True)
class Proposal:
    """A trial to run."""

    id: str
    number: int
    params: Mapping[str, Any]


class Proposer(Protocol):
    """Gives a session its trials, and learns how they did."""

    def propose(self) -> Proposal | None:
        """The next new trial, or None when there are no more."""

    def prepare(self) -> None:
        """Work out the next trial in advance, for all workers are busy."""

    def put_back(self, proposal: Proposal) -> None:
        """Propose a trial again: there was no room for it."""

    def report(self, record: TrialRecord, epoch: int, metrics: Metrics) -> None:
        """Learn an epoch's metrics."""

    def end(self, record: TrialRecord) -> None:
        """Learn a trial's outcome."""
