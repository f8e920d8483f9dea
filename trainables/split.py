"""Which images a run trains on and is validated on. It needs numpy alone."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainables.image_data import DataError, ImageData


class SplitError(DataError):
    """A split is not possible."""

    def __init__(self, key: str, text: str):
        """Keep, as the attribute `key`, what has to change: `validation` or `train_fraction`."""
        super().__init__(f"{key} {text}")
        self.key = key


Validation = float | Literal["own", "rest", "test"]
"""What a run is validated on: a part of each class's training images that is set aside; the data set's own
validation set; the rest of the training images that `train_fraction` leaves; or the test set."""


DEFAULT_VALIDATION = 0.1
"""The part of each class that is set aside by default."""


@dataclass(frozen=True)
class Split:
    """What one run may see: indices into the training images, and a validation set."""

    data: ImageData
    train: np.ndarray
    """Sorted indices into `data.train_images`: int64 [n]."""
    validation: np.ndarray
    """Sorted indices into the images of `validation_part`: int64 [m]."""
    validation_part: Literal["test", "train", "validation"] = "train"


def default_validation(data: ImageData) -> Validation:
    """Say what a data set is validated on by default: its own validation set, or a tenth set aside."""
    return DEFAULT_VALIDATION if data.validation_labels is None else "own"


def split(data: ImageData, *, validation: Validation, train_fraction: float, seed: int) -> Split:
    """Split the training images, stratified and seeded.

    Args:
        data: the data set.
        validation: what to validate on; of a part that is set aside, `train_fraction` is taken of what is left.
        train_fraction: the part of each class that is trained on. With the same seed, a smaller fraction lies inside
            a larger one, and a part set aside stays the same.
        seed: decides which images go where.

    Raises:
        SplitError: a class would have no training or no validation image, a value is out of bounds, or the data set
            has no validation set of its own.
    """
    _check(data, validation, train_fraction)
    train, held_out = [], []
    for label in range(len(data.classes)):
        members = np.flatnonzero(data.train_labels == label)
        np.random.default_rng([seed, label]).shuffle(members)
        trained, validated = _split_class(data.classes[label], members, validation, train_fraction)
        train.append(trained)
        held_out.append(validated)
    indices = np.sort(np.concatenate(train))
    if validation == "test":
        return Split(data, indices, np.arange(len(data.test_labels)), "test")
    if validation == "own" and data.validation_labels is not None:
        return Split(data, indices, np.arange(len(data.validation_labels)), "validation")
    return Split(data, indices, np.sort(np.concatenate(held_out)))


def _check(data: ImageData, validation: Validation, train_fraction: float) -> None:
    if isinstance(validation, str) and validation not in ("own", "rest", "test"):
        raise SplitError("validation", f"must be a part, own, rest or test, not {validation!r}")
    if not isinstance(validation, str) and not 0 < validation < 1:
        raise SplitError("validation", f"must be between 0 and 1, not {validation:g}")
    if not 0 < train_fraction <= 1:
        raise SplitError("train_fraction", f"must be above 0 and at most 1, not {train_fraction:g}")
    if validation == "own" and data.validation_labels is None:
        raise SplitError("validation", f"own: {data.name} has no validation set of its own")


def _split_class(
    name: str, members: np.ndarray, validation: Validation, train_fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Divide the shuffled indices of a class into those to train on and those to validate on."""
    n_held_out = 0 if isinstance(validation, str) else round(validation * len(members))
    available = members[n_held_out:]
    n_train = round(train_fraction * len(available))
    if n_train == 0:
        raise SplitError(
            "train_fraction", f"{train_fraction:g} leaves class {name!r} ({len(available)} images) none to train on"
        )
    held_out = available[n_train:] if validation == "rest" else members[:n_held_out]
    if validation not in ("own", "test") and len(held_out) == 0:
        leaves = f"rest of train_fraction {train_fraction:g}" if validation == "rest" else f"{validation:g}"
        raise SplitError("validation", f"{leaves} leaves class {name!r} ({len(members)} images) none to validate on")
    return available[:n_train], held_out
