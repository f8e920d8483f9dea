"""A data set by its name: a file of `trainables/datasets/`, or own code by a dotted path (`mydata.cells`)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import trainables.datasets
from trainables import module_folder, own_code
from trainables.image_data import DataError, ImageData


def loader(name: str) -> Callable[..., ImageData]:
    """Find the function that loads a data set: `load(root, *, options...)`.

    Raises:
        UnknownName: no data set has that name, or it is own code that is not allowed or is no data set.
    """
    if own_code.is_dotted(name):
        return own_code.function(name, "load", 1)
    found: Callable[..., ImageData] = module_folder.module(trainables.datasets, name).load
    return found


def load(name: str, root: Path, options: Mapping[str, Any]) -> ImageData:
    """Load the images and labels of a data set.

    Args:
        name: the name of the data set, or the dotted path of own code.
        root: the folder of all data sets.
        options: keyword arguments of its `load`.

    Raises:
        DataError: the data set is not there, cannot be read, or its own code fails or returns something else.
        UnknownName: no data set has that name, or it is own code that is not allowed or is no data set.
    """
    read = loader(name)
    if not own_code.is_dotted(name):
        return read(root, **options)
    try:
        data = read(root, **options)
    except DataError:
        raise
    except Exception as error:  # own code can raise anything
        raise DataError(f"{name} failed: {own_code.describe_error(error)}") from error
    if text := problem(data):
        raise DataError(f"{name} {text}")
    return data


def problem(data: Any) -> str | None:
    """Say why what a `load` returned is no data set, in words that follow its name; None if it is one."""
    if not isinstance(data, ImageData):
        return f"returned {type(data).__name__}, not a trainables.image_data.ImageData"
    for part in ("train", "test", "validation"):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        if part == "validation" and images is None and labels is None:
            continue
        if not (isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4):
            return f"returned {part}_images that are not a uint8 array [N, H, W, C]"
        if not (isinstance(labels, np.ndarray) and labels.dtype == np.int64 and labels.shape == images.shape[:1]):
            return f"returned {part}_labels that are not an int64 array [N], one label for each image"
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(data.classes):
            return f"returned {part}_labels that are empty, or no indices into its {len(data.classes)} classes"
        if images.shape[1:] != data.train_images.shape[1:]:
            return f"returned {part}_images of another size than train_images"
    return None
