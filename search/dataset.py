"""Which images a search trains on: found, decoded into the cache, or loudly replaced."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from search.errors import Problem
from search.sections import DataSpec
from search.spec import Spec
from search.storage import Storage
from trainables import cache, data_set
from trainables.config import TrainConfig
from trainables.data import DataMissing, ImageData, Split, SplitError, Validation, default_validation, split
from trainables.enlarge import variants

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
    """The data set that the spec asked for and that could not be had."""
    copy: str | None = None
    """Address of a storage that holds the decoded images, for machines that do not share the files."""
    fingerprint: str | None = None
    """Of the copy."""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "DataSource":
        """From the mapping that `asdict` makes, after a journey through JSON."""
        return cls(**{**content, "options": tuple((key, value) for key, value in content["options"])})

    @property
    def title(self) -> str:
        """How it is called in front of people; a substitute can never be taken for the real thing."""
        return f"{self.name} (SUBSTITUTE, not {self.substitute_for})" if self.substitute_for else self.name

    def load(self) -> ImageData:
        """The images, from this process's memory, the cache, or the files.

        Raises:
            DataError: they cannot be had or read.
        """
        if self.copy is not None and self.fingerprint is not None:
            return _load_copy(self.name, self.copy, self.fingerprint)
        return _load(self.name, self.root, self.options)

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
        """As a plain mapping."""
        return asdict(self)


@lru_cache(maxsize=4)
def _load(name: str, root: str, options: tuple[tuple[str, Any], ...]) -> ImageData:
    return data_set.load(name, Path(root), dict(options))


@lru_cache(maxsize=4)
def _load_copy(name: str, storage: str, fingerprint: str) -> ImageData:
    place = _place(storage, fingerprint)

    def fetch(folder: Path) -> None:
        for file in place.sizes():
            place.fetch(file, folder / file)

    return cache.copied(name, fingerprint, fetch)


def _place(storage: str, fingerprint: str) -> Storage:
    return Storage(storage, COPIES, fingerprint)


def find(spec: DataSpec, root: Path) -> tuple[DataSource, ImageData]:
    """The data set of a spec, or its offline substitute where it is missing.

    Raises:
        DataError: it cannot be read, or is missing and has no substitute.
    """
    options = tuple(sorted(spec.load_options.items()))
    name, folder_of_all, missing = spec.name, str(root.resolve()), None
    try:
        data = _load(name, folder_of_all, options)
    except DataMissing:
        if spec.offline_substitute is None:
            raise
        name, options, missing = spec.offline_substitute, (), spec.name
        data = _load(name, folder_of_all, options)
    validation = default_validation(data) if spec.validation is None else spec.validation
    return DataSource(name, folder_of_all, options, validation, spec.split_seed, missing), data


def problems(spec: Spec, source: DataSource, data: ImageData) -> list[Problem]:
    """What of the search cannot be trained on these images: splits with empty classes, batches too large."""
    found: list[Problem] = []
    batch_sizes, fractions = spec.space.possible("batch_size"), spec.space.possible("train_fraction")
    try:
        # The largest fraction leaves the fewest images to validate on, the smallest the fewest to train on.
        parts = [source.split(data, fraction) for fraction in (max(fractions), min(fractions))]
    except SplitError as error:
        if error.key == "train_fraction":
            return [Problem("space.train_fraction", f"{error}: raise it")]
        remedy = {"own": "", "rest": ": lower space.train_fraction"}.get(str(source.validation), ": raise it")
        return [Problem("data.validation", f"{error}{remedy}")]
    enlarged = min(variants(TrainConfig(enlarge=name)) for name in spec.space.possible("enlarge"))
    smallest = len(parts[-1].train) * enlarged
    if max(batch_sizes) > smallest:
        least = f" at train_fraction {min(fractions):g}" if min(fractions) < 1 else ""
        found.append(
            Problem(
                "space.batch_size",
                f"reaches {max(batch_sizes)}, above the {smallest:,} training images of {source.title}{least}: "
                "lower it",
            )
        )
    return found
