"""Which images a search trains on: found, decoded into the cache, or loudly replaced."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import trainables.datasets
from search.errors import Problem
from search.sections import DataSpec
from search.spec import Spec
from trainables import folder
from trainables.data import DataError, DataMissing, ImageData, split


@dataclass(frozen=True)
class DataSource:
    """Enough for a worker to load the same images and split them the same way."""

    name: str
    root: str
    options: tuple[tuple[str, Any], ...]
    """Keyword arguments of the data set's `load`."""
    validation: float | None
    """Part of each class set aside; None: the test set stands in."""
    split_seed: int
    substitute_for: str | None = None
    """The data set that the spec asked for and that could not be had."""

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
        return _load(self.name, self.root, self.options)

    def content(self) -> dict[str, Any]:
        """As a plain mapping."""
        return asdict(self)


@lru_cache(maxsize=4)
def _load(name: str, root: str, options: tuple[tuple[str, Any], ...]) -> ImageData:
    return folder.module(trainables.datasets, name).load(Path(root), **dict(options))


def find(spec: DataSpec, root: Path) -> tuple[DataSource, ImageData]:
    """The data set of a spec, or its offline substitute where it is missing.

    Raises:
        DataError: it cannot be read, or is missing and has no substitute.
    """
    options = tuple(sorted(spec.model_dump(include={"folder", "image_size"}, exclude_none=True).items()))
    validation = None if spec.validation == "test" else float(spec.validation)
    source = DataSource(spec.name, str(root.resolve()), options, validation, spec.split_seed)
    try:
        return source, source.load()
    except DataMissing:
        if spec.offline_substitute is None:
            raise
        source = DataSource(
            spec.offline_substitute, source.root, (), validation, spec.split_seed, substitute_for=spec.name
        )
        return source, source.load()


def problems(spec: Spec, source: DataSource, data: ImageData) -> list[Problem]:
    """What of the search cannot be trained on these images: splits with empty classes, batches too large."""
    found: list[Problem] = []
    batch_sizes, fractions = spec.space.possible("batch_size"), spec.space.possible("train_fraction")
    try:
        smallest = len(
            split(data, validation=source.validation, train_fraction=min(fractions), seed=source.split_seed).train
        )
    except DataError as error:
        key = "data.validation" if str(error).startswith("validation") else "space.train_fraction"
        return [Problem(key, f"{error}: raise it")]
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
