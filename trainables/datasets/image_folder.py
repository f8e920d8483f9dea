"""Any data set of the user's own: a folder of pictures a class."""

import os
from pathlib import Path

import numpy as np

from trainables.cache import Decoded, cached
from trainables.image_data import DataError, DataMissing, ImageData
from trainables.pictures import decode_classes, list_classes

TRAIN_FOLDERS = ("train", "train_data")
TEST_FOLDERS = ("test", "test_data")
LONGEST_NAME = 255
"""Bytes of a file's name, in most file systems."""
TEST_PART = 0.2
"""Part of each class that becomes the test set where the folder has no split."""


def load(root: Path, *, folder: str, image_size: int | None = None) -> ImageData:
    """Pictures under `root/folder`: `train/<class>/*` and `test/<class>/*`, or just `<class>/*`.

    Without a test folder a fixed, stratified fifth is set aside as the test set.

    Args:
        image_size: resize all to this many pixels a side; needed where sizes differ.

    Raises:
        DataMissing: no such folder, or no class in it.
        DataError: a picture cannot be read, sizes differ, the classes of train and test differ, or the folder is
            not under `root`.
    """
    check_folder(folder)
    place = root / folder
    if not place.is_dir():
        raise DataMissing(
            f"no folder {place}: put train/<class>/*.jpg and test/<class>/*.jpg there, or name another with data.folder"
        )
    train = _first(place, TRAIN_FOLDERS)
    test = _first(place, TEST_FOLDERS)
    if (train is None) != (test is None):
        have, lack = ("train", "test") if test is None else ("test", "train")
        raise DataError(f"{place} has a {have} folder but no {lack} folder: add it, or put the classes directly there")
    train_classes = list_classes(train or place)
    test_classes = list_classes(test) if test else {}
    names = tuple(train_classes)
    if test and tuple(test_classes) != names:
        odd = sorted(set(names) ^ set(test_classes))
        raise DataError(f"{train} and {test} must have the same class folders; {', '.join(odd)} is in one only")

    def decode() -> Decoded:
        images, labels = decode_classes(train_classes, names, image_size)
        if test:
            test_images, test_labels = decode_classes(test_classes, names, image_size)
            if test_images.shape[1:] != images.shape[1:]:
                sizes = (f"{a.shape[2]}x{a.shape[1]}" for a in (images, test_images))
                raise DataError(f"pictures in {train} are {next(sizes)}, in {test} {next(sizes)}: set data.image_size")
            return Decoded(names, images, labels, test_images, test_labels)
        held_out = _held_out(labels, len(names))
        return Decoded(names, images[~held_out], labels[~held_out], images[held_out], labels[held_out])

    files = [path for classes in (train_classes, test_classes) for paths in classes.values() for path in paths]
    return cached(place.name, files, decode, options=f"image_size={image_size}")


def check_folder(folder: str) -> None:
    """Refuse what is not the name of a folder under the data directory. Links in there are followed: they are wanted.

    Raises:
        DataError: it leads out of it, or can be no folder's name.
    """
    path = Path(folder)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"must be a folder under the data directory, without '..', not {folder!r}: see --data-dir")
    if "\0" in folder or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise DataError(f"must be the name of a folder, not {folder!r}")


def _first(place: Path, names: tuple[str, ...]) -> Path | None:
    return next((place / name for name in names if (place / name).is_dir()), None)


def _held_out(labels: np.ndarray, n_classes: int) -> np.ndarray:
    mask = np.zeros(len(labels), dtype=bool)
    for label in range(n_classes):
        members = np.flatnonzero(labels == label)
        np.random.default_rng(label).shuffle(members)
        mask[members[: max(1, round(TEST_PART * len(members)))]] = True
    return mask
