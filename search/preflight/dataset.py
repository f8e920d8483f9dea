"""The images that a search trains on: found, decoded into the cache, or loudly replaced."""

from pathlib import Path

from search.errors import Problem
from search.spec.schema import DataSpec
from search.spec.spec import Spec
from search.trial.data_source import DataSource, load
from trainables.config import TrainConfig
from trainables.enlarge import variants
from trainables.image_data import DataMissing, ImageData
from trainables.split import SplitError, default_validation


def find(spec: DataSpec, root: Path) -> tuple[DataSource, ImageData]:
    """Find the data set of a spec, or its offline substitute where it is missing.

    Args:
        spec: the section of the spec.
        root: the folder of all data sets.

    Raises:
        DataError: it cannot be read, or is missing and has no substitute.
    """
    options = tuple(sorted(spec.load_options.items()))
    name, folder, missing = spec.name, str(root.resolve()), None
    try:
        data = load(name, folder, options)
    except DataMissing:
        if spec.offline_substitute is None:
            raise
        name, options, missing = spec.offline_substitute, (), spec.name
        data = load(name, folder, options)
    validation = default_validation(data) if spec.validation is None else spec.validation
    return DataSource(name, folder, options, validation, spec.split_seed, missing), data


def problems(spec: Spec, source: DataSource, data: ImageData) -> list[Problem]:
    """Why the search cannot be trained on these images: splits with empty classes, or batches that are too large."""
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
        where = f" at train_fraction {min(fractions):g}" if min(fractions) < 1 else ""
        found.append(
            Problem(
                "space.batch_size",
                f"reaches {max(batch_sizes)}, above the {smallest:,} training images of {source.title}{where}: "
                "lower it",
            )
        )
    return found
