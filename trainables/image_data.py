"""What a data set is: images and labels in memory. It needs numpy alone."""

from dataclasses import dataclass

import numpy as np


class DataError(ValueError):
    """A data set is not there or cannot be read; the message names the place and the remedy."""


class DataMissing(DataError):
    """The files of a data set are not there and cannot be fetched: a substitute may be used instead."""


@dataclass(frozen=True)
class ImageData:
    """A data set decoded into memory-mapped arrays."""

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    """Images that are trained on: uint8 [N, H, W, C]."""
    train_labels: np.ndarray
    """Labels of the training images, indices into `classes`: int64 [N]."""
    test_images: np.ndarray
    """Images of the test set: uint8 [M, H, W, C]."""
    test_labels: np.ndarray
    """Labels of the test images: int64 [M]."""
    mean: tuple[float, ...]
    """Mean of each channel over the training images, whose values are scaled to 0..1."""
    std: tuple[float, ...]
    """Standard deviation of each channel over the training images, scaled likewise."""
    fingerprint: str
    """Hex digest of all pixels, labels and class names: equal for equal data, whatever files it came from."""
    validation_images: np.ndarray | None = None
    """Images of the data set's own validation set, None where it has none: uint8 [V, H, W, C]."""
    validation_labels: np.ndarray | None = None
    """Labels of the validation images, None where there are none: int64 [V]."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (channels, height, width) of an image, as a model's `build` takes it."""
        _, height, width, channels = self.train_images.shape
        return channels, height, width
