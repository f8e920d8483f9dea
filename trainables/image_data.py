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
    validation_images: np.ndarray | None = None
    """uint8 [V, H, W, C], where the data set has a validation set of its own."""
    validation_labels: np.ndarray | None = None
    """int64 [V]"""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width), as a model's `build` takes it."""
        _, height, width, channels = self.train_images.shape
        return channels, height, width
