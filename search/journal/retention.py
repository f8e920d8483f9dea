"""The states of a search's trials: of those that run, and of the best that have ended, within a budget."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from contract.files import is_being_written
from search.journal.records import TrialRecord, best_first
from search.storage.layout import CHECKPOINTS, Layout, stored_checkpoint
from search.storage.mirror import Mirror
from trainables import checkpoint_file


class StateFiles(Protocol):
    """Where the states are."""

    @property
    def storage(self) -> str | None:
        """Address of the object store that holds them, None for a disk."""

    def name(self, id: str) -> str:
        """What a task calls the state of a trial."""

    def keep_newest(self, id: str) -> None:
        """Remove all but the last state of a trial."""

    def remove(self, id: str) -> None:
        """Remove all that there is of a trial."""

    def bytes(self) -> int:
        """What all take."""


class DiskFiles:
    """Files in a folder of the search."""

    storage: str | None = None

    def __init__(self, folder: Path):
        """Refer to the folder of a search."""
        self._layout = Layout(folder)

    def name(self, id: str) -> str:
        """The path."""
        return str(self._path(id))

    def keep_newest(self, id: str) -> None:
        """Remove all but the newest generation."""
        checkpoint_file.keep_newest(self._path(id))

    def remove(self, id: str) -> None:
        """Remove all generations."""
        checkpoint_file.remove(self._path(id))

    def bytes(self) -> int:
        """The size of all whole files; one that a worker is writing at this moment comes on top."""
        sizes = []
        for path in self._layout.checkpoints.glob("*"):
            if is_being_written(path):
                continue
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # a worker has replaced it
                continue
        return sum(sizes)

    def _path(self, id: str) -> Path:
        return self._layout.checkpoint(id)


class StoredFiles:
    """Objects, one a trial: a store replaces them whole."""

    def __init__(self, mirror: Mirror):
        """Refer to the copy of a search in an object store."""
        self._mirror = mirror
        self.storage: str | None = mirror.storage.address

    def name(self, id: str) -> str:
        """The name from the storage's root."""
        return self._mirror.storage.full_name(stored_checkpoint(id))

    def keep_newest(self, id: str) -> None:
        """Nothing to do."""

    def remove(self, id: str) -> None:
        """When the journal there says that the trial has ended."""
        self._mirror.remove_later(stored_checkpoint(id))

    def bytes(self) -> int:
        """The size of all that will not be removed."""
        return sum(self._mirror.sizes(CHECKPOINTS).values())


class Checkpoints:
    """The states of one phase's trials."""

    def __init__(self, files: StateFiles, keep: int, budget: int | None, metric: str, maximize: bool):
        """Keep nothing yet.

        Args:
            files: where the states are.
            keep: of how many of the best ended trials the states are kept.
            budget: bytes that all may take, None for no limit.
            metric: the objective.
            maximize: whether a larger objective is better.
        """
        self.files, self.keep, self.budget = files, keep, budget
        self._metric, self._maximize = metric, maximize
        self.best: list[TrialRecord] = []
        """The ended trials that are kept, best first."""

    def begin(self, ended: Iterable[TrialRecord]) -> None:
        """Begin with the trials of earlier launches: remove what is not to be kept."""
        ended = list(ended)
        self.best = best_first(ended, self._metric, self._maximize)[: self.keep]
        for record in ended:
            drop = self.files.keep_newest if record in self.best else self.files.remove
            drop(record.id)

    def end(self, record: TrialRecord) -> None:
        """A trial has ended: keep its last state if it is among the best, else none."""
        self.files.keep_newest(record.id)
        ranked = best_first([*self.best, record], self._metric, self._maximize)
        self.best = ranked[: self.keep]
        for r in [*ranked[self.keep :], *([] if record in self.best else [record])]:
            self.files.remove(r.id)

    def keep_to_budget(self) -> str | None:
        """Remove checkpoints of ended trials, the worst first, until all fit the budget; why they cannot, else None.

        What running trials need to continue is not removed.
        """
        if self.budget is None or self.files.bytes() <= self.budget:
            return None
        for record in reversed(self.best):
            self.files.remove(record.id)
            if self.files.bytes() <= self.budget:
                return None
        return (
            f"the checkpoints of the running trials alone take {self.files.bytes():,} bytes, and "
            f"budget.checkpoint_bytes is {self.budget:,}: raise it, or lower budget.concurrent, then --resume"
        )
