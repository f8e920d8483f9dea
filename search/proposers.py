"""Where trials come from: the study while searching, a fixed list while confirming."""

from collections.abc import Mapping
from typing import Any

from search.journal import Journal, TrialRecord
from search.searcher import StudySearcher
from search.session import Proposal


class StudyProposer:
    """The search: Optuna proposes, and learns from every epoch."""

    def __init__(self, searcher: StudySearcher):
        self.searcher = searcher

    def propose(self) -> Proposal | None:
        """Ask the study."""
        asked = self.searcher.ask()
        return None if asked is None else Proposal(f"trial-{asked[0]:04d}", asked[0], asked[1])

    def report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """Pass an epoch on to the study."""
        self.searcher.report(record.number, epoch, self.searcher.value_of(metrics))

    def end(self, record: TrialRecord) -> None:
        """Pass an outcome on to the study."""
        self.searcher.tell(record)


class ListProposer:
    """A fixed list of trials; what the journal knows already is not proposed again, and nobody learns from it."""

    def __init__(self, proposals: list[Proposal], journal: Journal):
        self._waiting = [proposal for proposal in proposals if proposal.id not in journal.records]

    def propose(self) -> Proposal | None:
        """The next of the list."""
        return self._waiting.pop(0) if self._waiting else None

    def report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def end(self, record: TrialRecord) -> None:
        """Nothing to do."""
