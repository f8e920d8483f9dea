"""The rules that a data set has to keep, each as a check that raises an AssertionError (see `trainables.testing`)."""

import itertools

import numpy as np

from trainables import named_dataset
from trainables.image_data import ImageData

STATISTICS_TOLERANCE = 1e-9
"""Mean and standard deviation may differ so much from the exact ones, by rounding."""


def check_arrays(data: ImageData) -> None:
    """Check that images are uint8 [N, H, W, C] of one size, and labels int64 [N] indices into the classes."""
    problem = named_dataset.problem(data)
    assert problem is None, f"load {problem}"


def parts(data: ImageData) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images and labels of each part that a data set has, by the name of the part."""
    found = {"train": (data.train_images, data.train_labels), "test": (data.test_images, data.test_labels)}
    if data.validation_images is not None and data.validation_labels is not None:
        found["validation"] = (data.validation_images, data.validation_labels)
    return found


def check_classes(data: ImageData) -> None:
    """Check that classes have names of their own, and that each is in every part."""
    assert len(set(data.classes)) == len(data.classes), f"two classes have the same name: {', '.join(data.classes)}"
    for part, (_, labels) in parts(data).items():
        lacking = sorted(set(range(len(data.classes))) - set(labels.tolist()))
        names = ", ".join(data.classes[label] for label in lacking)
        assert not lacking, f"{part}_labels have no image of {names}"


def check_parts(data: ImageData) -> None:
    """Check that images are grey or in colour, and that no image is in two parts."""
    channels = data.train_images.shape[3]
    assert channels in (1, 3), f"images have {channels} channels, not 1 or 3"
    pixels = {part: {image.tobytes() for image in images} for part, (images, _) in parts(data).items()}
    for one, other in itertools.combinations(pixels, 2):
        count = len(pixels[one] & pixels[other])
        assert count == 0, f"{one}_images and {other}_images have {count} images in common"


def check_statistics(data: ImageData) -> None:
    """Check that mean and standard deviation are those of the training images, scaled to 0..1."""
    scaled = np.asarray(data.train_images, np.float64) / 255
    for name, given, true in (("mean", data.mean, scaled.mean((0, 1, 2))), ("std", data.std, scaled.std((0, 1, 2)))):
        close = len(given) == len(true) and np.allclose(given, true, rtol=0, atol=STATISTICS_TOLERANCE)
        assert close, f"{name} is {given}, that of the training images is {tuple(true.tolist())}"


def check_same(one: ImageData, other: ImageData) -> None:
    """Check that two loads gave the same data set."""
    assert one.fingerprint == other.fingerprint, "a second load has another fingerprint"
    assert one.classes == other.classes, "a second load has other classes"
    assert parts(one).keys() == parts(other).keys(), "a second load has other parts"
    for part, (images, labels) in parts(one).items():
        images_again, labels_again = parts(other)[part]
        assert np.array_equal(images, images_again), f"a second load has other {part}_images"
        assert np.array_equal(labels, labels_again), f"a second load has other {part}_labels"
