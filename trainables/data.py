"""Images in memory: what a data set is, and how it is split. numpy only."""

from dataclasses import dataclass

import numpy as np


class DataError(ValueError):
    """A data set that cannot be had or cannot be read; the message names the place and the remedy."""


class DataMissing(DataError):
    """The data set's files are not there and cannot be fetched: a substitute may be used instead."""


@dataclass(frozen=True)
class ImageData:
    """A data set decoded into memory-mapped arrays."""

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    """uint8 [N, H, W, C]"""
    train_labels: np.ndarray
    """int64 [N], indices into `classes`"""
    test_images: np.ndarray
    """uint8 [M, H, W, C]"""
    test_labels: np.ndarray
    """int64 [M]"""
    mean: tuple[float, ...]
    """Per channel over the training images, of values scaled to 0..1."""
    std: tuple[float, ...]
    fingerprint: str
    """Hex digest of all pixels, labels and class names: equal for equal data, whatever files it came from."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width), as a model's `build` takes it."""
        _, height, width, channels = self.train_images.shape
        return channels, height, width


@dataclass(frozen=True)
class Split:
    """What one run may see: indices into the training images, and a validation set."""

    data: ImageData
    train: np.ndarray
    """int64 [n], sorted indices into `data.train_images`"""
    validation: np.ndarray | None
    """int64 [m], likewise; None when the test set stands in (`validation: test`)"""


def split(data: ImageData, *, validation: float | None, train_fraction: float, seed: int) -> Split:
    """Stratified, seeded split of the training images.

    Args:
        validation: part of each class that is set aside; None validates on the test set, as some
            publications do.
        train_fraction: part of what is left that is trained on. Nested: with the same seed, a smaller
            fraction lies inside a larger one, and the validation set stays the same.

    Raises:
        DataError: a class would have no training or no validation image, or a part is none.
    """
    if validation is not None and not 0 < validation < 1:
        raise DataError(f"validation must be between 0 and 1, not {validation:g}")
    if not 0 < train_fraction <= 1:
        raise DataError(f"train_fraction must be above 0 and at most 1, not {train_fraction:g}")
    train, held_out = [], []
    for label, name in enumerate(data.classes):
        members = np.flatnonzero(data.train_labels == label)
        np.random.default_rng([seed, label]).shuffle(members)
        n_held_out = round(validation * len(members)) if validation is not None else 0
        if validation is not None and n_held_out == 0:
            raise DataError(
                f"validation {validation:g} leaves class {name!r} ({len(members)} images) none to validate on"
            )
        rest = members[n_held_out:]
        n_train = round(train_fraction * len(rest))
        if n_train == 0:
            raise DataError(
                f"train_fraction {train_fraction:g} leaves class {name!r} ({len(rest)} images) none to train on"
            )
        held_out.append(members[:n_held_out])
        train.append(rest[:n_train])
    return Split(
        data, np.sort(np.concatenate(train)), None if validation is None else np.sort(np.concatenate(held_out))
    )
