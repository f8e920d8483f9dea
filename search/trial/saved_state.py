"""Where a trial's state is between two epochs: in a file, or by way of one in an object store."""

import tempfile
from pathlib import Path
from typing import Any

from search.storage.storage import Storage


class StateFile:
    """A file that the next worker of the trial finds too: on this machine's disk, or one that all share."""

    def __init__(self, path: str):
        """Refer to the file."""
        self._path = Path(path)

    def __str__(self) -> str:
        return str(self._path.parent)

    def save(self, state: Any) -> None:
        """Keep a `TrainState`.

        Raises:
            OSError: it cannot be written.
        """
        state.save(self._path)

    def restore(self, state: Any, device: Any) -> bool:
        """Take over what was kept, if anything; whether some of it was damaged."""
        return bool(state.restore(self._path, device))


class StoredState:
    """An object that workers on all machines reach."""

    def __init__(self, storage: str, name: str):
        """Refer to the object.

        Args:
            storage: the address of the object store.
            name: the object's in it.
        """
        self._storage, self._name = Storage(storage), name

    def __str__(self) -> str:
        return str(self._storage)

    def save(self, state: Any) -> None:
        """Keep a `TrainState`.

        Raises:
            OSError: it cannot be written.
        """
        with tempfile.TemporaryDirectory(prefix="search-state-") as folder:
            path = Path(folder) / "state.pt"
            state.save(path)
            self._storage.put(path, self._name)

    def restore(self, state: Any, device: Any) -> bool:
        """Take over what was kept, if anything; whether it was damaged.

        Raises:
            OSError: the storage does not answer.
        """
        with tempfile.TemporaryDirectory(prefix="search-state-") as folder:
            path = Path(folder) / "state.pt"
            return self._storage.fetch(self._name, path) and state.restore(path, device)
