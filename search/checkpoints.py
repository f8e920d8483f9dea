"""The states of a search's trials on disk: of those that run, and of the best that have ended, within a budget."""

from collections.abc import Iterable
from pathlib import Path

from search.journal import TrialRecord, leaders
from trainables import checkpoint


class Checkpoints:
    """The folder of checkpoints of one phase's trials."""

    def __init__(self, folder: Path, keep: int, budget: int | None, metric: str, maximize: bool):
        """Args: keep: of how many of the best ended trials; budget: bytes that all may take, None for no limit."""
        self.folder, self.keep, self.budget = folder, keep, budget
        self._metric, self._maximize = metric, maximize
        self.best: list[TrialRecord] = []
        """The ended trials that are kept, best first."""

    def path(self, id: str) -> Path:
        """The file that holds a trial's state after its last epoch."""
        return self.folder / f"{id}.pt"

    def take_up(self, ended: Iterable[TrialRecord]) -> None:
        """Begin with the trials of earlier launches: remove what is not to be kept."""
        ended = list(ended)
        self.best = leaders(ended, self._metric, self._maximize)[: self.keep]
        for record in ended:
            drop = checkpoint.keep_newest if record in self.best else checkpoint.remove
            drop(self.path(record.id))

    def end(self, record: TrialRecord) -> None:
        """A trial has ended: keep its last state if it is among the best, else none."""
        checkpoint.keep_newest(self.path(record.id))
        ranked = leaders([*self.best, record], self._metric, self._maximize)
        self.best = ranked[: self.keep]
        for r in [*ranked[self.keep :], *([] if record in self.best else [record])]:
            checkpoint.remove(self.path(r.id))

    def shrink(self) -> str | None:
        """Keep to the budget: let go of the worst of the best first. Why it cannot be kept to, else None.

        What running trials need to be gone on with is not let go of.
        """
        if self.budget is None or self._bytes() <= self.budget:
            return None
        for record in reversed(self.best):
            checkpoint.remove(self.path(record.id))
            if self._bytes() <= self.budget:
                return None
        return (
            f"the checkpoints of the running trials alone take {self._bytes():,} bytes, and budget.checkpoint_bytes "
            f"is {self.budget:,}: raise it, or lower budget.concurrent, then --resume"
        )

    def _bytes(self) -> int:
        """Of all whole files; one that a worker is writing at this moment comes on top."""
        sizes = []
        for path in self.folder.glob("*"):
            if checkpoint.is_being_written(path):
                continue
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # a worker has replaced it
                continue
        return sum(sizes)
