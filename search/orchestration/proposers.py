"""What proposes a session's trials: the study while searching, a fixed list while confirming."""

import contextlib

from contract.metrics import Metrics
from search.journal.journal import Journal
from search.journal.records import TrialRecord
from search.orchestration.proposal import Proposal
from search.study.study import StudySearcher


class StudyProposer:
    """The search: Optuna proposes, and learns from every epoch."""

    PREPARED_FROM = 200
    """The number of the first trial that is proposed ahead. Before it a proposal costs little, and one trial more to
    learn from counts."""

    def __init__(self, searcher: StudySearcher):
        """Propose what the study gives."""
        self.searcher = searcher
        self._prepared: Proposal | None = None
        self._next_number = 0

    def propose(self) -> Proposal | None:
        """What was prepared, or else ask the study."""
        proposal, self._prepared = self._prepared or self._ask(), None
        return proposal

    def prepare(self) -> None:
        """Ask the study in advance, once proposals take their time."""
        if self._prepared is None and self._next_number >= self.PREPARED_FROM:
            self._prepared = self._ask()

    def put_back(self, proposal: Proposal) -> None:
        """Propose it again: there was no room for it."""
        self._prepared = proposal

    def close(self) -> None:
        """Withdraw what was prepared and is not needed any more."""
        if self._prepared is not None:
            # Where the disk is full: a trial without an end is the next to be proposed by a resumed search.
            with contextlib.suppress(OSError):
                self.searcher.withdraw(self._prepared.number)
            self._prepared = None

    def _ask(self) -> Proposal | None:
        asked = self.searcher.ask()
        if asked is None:
            self._next_number = 0  # all have been proposed
            return None
        self._next_number = asked[0] + 1
        return Proposal(f"trial-{asked[0]:04d}", asked[0], asked[1])

    def report(self, record: TrialRecord, epoch: int, metrics: Metrics) -> None:
        """Pass an epoch on to the study."""
        self.searcher.report(record.number, epoch, self.searcher.value_of(metrics))

    def end(self, record: TrialRecord) -> None:
        """Pass an outcome on to the study."""
        self.searcher.tell(record)


class ListProposer:
    """A fixed list of trials; what the journal knows already is not proposed again, and nobody learns from it."""

    def __init__(self, proposals: list[Proposal], journal: Journal):
        """Leave out what the journal knows."""
        self._waiting = [proposal for proposal in proposals if proposal.id not in journal.records]

    def propose(self) -> Proposal | None:
        """The next of the list."""
        return self._waiting.pop(0) if self._waiting else None

    def prepare(self) -> None:
        """Nothing to do."""

    def put_back(self, proposal: Proposal) -> None:
        """Propose it again: there was no room for it."""
        self._waiting.insert(0, proposal)

    def report(self, record: TrialRecord, epoch: int, metrics: Metrics) -> None:
        """Nothing to do."""

    def end(self, record: TrialRecord) -> None:
        """Nothing to do."""
