"""The states of a search's trials: of those that run, and of the best that have ended, within a budget."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from search.journal import TrialRecord, leaders
from search.mirror import Mirror
from trainables import checkpoint

FOLDER = "checkpoints"


class Files(Protocol):
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


class Disk:
    """Files in a folder of the search."""

    storage: str | None = None

    def __init__(self, folder: Path):
        self._folder = folder / FOLDER

    def name(self, id: str) -> str:
        """The path."""
        return str(self._path(id))

    def keep_newest(self, id: str) -> None:
        """Remove all but the newest generation."""
        checkpoint.keep_newest(self._path(id))

    def remove(self, id: str) -> None:
        """Remove all generations."""
        checkpoint.remove(self._path(id))

    def bytes(self) -> int:
        """Of all whole files; one that a worker is writing at this moment comes on top."""
        sizes = []
        for path in self._folder.glob("*"):
            if checkpoint.is_being_written(path):
                continue
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # a worker has replaced it
                continue
        return sum(sizes)

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.pt"


class ObjectStore:
    """Objects, one a trial: a store replaces them whole."""

    def __init__(self, mirror: Mirror):
        self._mirror = mirror
        self.storage: str | None = mirror.storage.address

    def name(self, id: str) -> str:
        """From the storage's root."""
        return self._mirror.storage.full_name(f"{FOLDER}/{id}.pt")

    def keep_newest(self, id: str) -> None:
        """Nothing to do."""

    def remove(self, id: str) -> None:
        """When the journal there says that the trial has ended."""
        self._mirror.remove_later(f"{FOLDER}/{id}.pt")

    def bytes(self) -> int:
        """Of all that will not be removed."""
        return sum(self._mirror.sizes(FOLDER).values())


class Checkpoints:
    """The states of one phase's trials."""

    def __init__(self, files: Files, keep: int, budget: int | None, metric: str, maximize: bool):
        """Args: keep: of how many of the best ended trials; budget: bytes that all may take, None for no limit."""
        self.files, self.keep, self.budget = files, keep, budget
        self._metric, self._maximize = metric, maximize
        self.best: list[TrialRecord] = []
        """The ended trials that are kept, best first."""

    def take_up(self, ended: Iterable[TrialRecord]) -> None:
        """Begin with the trials of earlier launches: remove what is not to be kept."""
        ended = list(ended)
        self.best = leaders(ended, self._metric, self._maximize)[: self.keep]
        for record in ended:
            drop = self.files.keep_newest if record in self.best else self.files.remove
            drop(record.id)

    def end(self, record: TrialRecord) -> None:
        """A trial has ended: keep its last state if it is among the best, else none."""
        self.files.keep_newest(record.id)
        ranked = leaders([*self.best, record], self._metric, self._maximize)
        self.best = ranked[: self.keep]
        for r in [*ranked[self.keep :], *([] if record in self.best else [record])]:
            self.files.remove(r.id)

    def shrink(self) -> str | None:
        """Keep to the budget: let go of the worst of the best first. Why it cannot be kept to, else None.

        What running trials need to be gone on with is not let go of.
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
