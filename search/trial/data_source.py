"""The data set of a search, as its workers load it."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from search.storage.storage import Storage
from trainables import cache, named_dataset
from trainables.image_data import ImageData
from trainables.split import Split, Validation, split

COPIES = "_data"
"""Folder of the storage that holds decoded data sets, for all searches: no search can have that name."""


@dataclass(frozen=True)
class DataSource:
    """Enough for a worker to load the same images and split them the same way."""

    name: str
    root: str
    options: tuple[tuple[str, Any], ...]
    """Keyword arguments of the data set's `load`."""
    validation: Validation
    """What is validated on."""
    split_seed: int
    substitute_for: str | None = None
    """The data set that the spec asked for and that was not there."""
    copy: str | None = None
    """Address of a storage that holds the decoded images, for machines that do not share the files."""
    fingerprint: str | None = None
    """The fingerprint of the copy's images."""

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "DataSource":
        """The source of a mapping that `content` made, after a journey through JSON."""
        return cls(**{**content, "options": tuple((key, value) for key, value in content["options"])})

    @property
    def title(self) -> str:
        """How it is called in front of people; a substitute can never be taken for the real thing."""
        return f"{self.name} (SUBSTITUTE, not {self.substitute_for})" if self.substitute_for else self.name

    def load(self) -> ImageData:
        """The images, from this process's memory, the cache, or the files.

        Raises:
            DataError: they are not there, or cannot be read.
        """
        if self.copy is not None and self.fingerprint is not None:
            return _load_copy(self.name, self.copy, self.fingerprint)
        return load(self.name, self.root, self.options)

    def copied(self, data: ImageData, storage: str) -> "DataSource":
        """This data set, as machines load it that have the storage alone. It is copied there unless it is there.

        Raises:
            OSError: it cannot be copied.
        """
        place = _place(storage, data.fingerprint)
        if cache.META not in place.sizes():
            with tempfile.TemporaryDirectory(prefix="search-data-") as folder:
                cache.save(data, Path(folder))
                # The description last: where it is, all is.
                for path in sorted(Path(folder).iterdir(), key=lambda path: path.name == cache.META):
                    place.put(path, path.name)
        return replace(self, copy=storage, fingerprint=data.fingerprint)

    def split(self, data: ImageData, train_fraction: float) -> Split:
        """The images that a run trains on and is validated on.

        Raises:
            DataError: a class would be left without.
        """
        return split(data, validation=self.validation, train_fraction=train_fraction, seed=self.split_seed)

    def content(self) -> dict[str, Any]:
        """The source as a plain mapping."""
        return asdict(self)


@lru_cache(maxsize=4)
def load(name: str, root: str, options: tuple[tuple[str, Any], ...]) -> ImageData:
    """The images of a data set, kept in this process's memory.

    Raises:
        DataError: they are not there, or cannot be read.
    """
    return named_dataset.load(name, Path(root), dict(options))


@lru_cache(maxsize=4)
def _load_copy(name: str, storage: str, fingerprint: str) -> ImageData:
    place = _place(storage, fingerprint)

    def fetch(folder: Path) -> None:
        for file in place.sizes():
            place.fetch(file, folder / file)

    return cache.copied(name, fingerprint, fetch)


def _place(storage: str, fingerprint: str) -> Storage:
    return Storage(storage, COPIES, fingerprint)
