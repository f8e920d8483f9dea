"""A data set of the user's own: a folder of pictures for each class."""

import os
from pathlib import Path

import numpy as np

from trainables.cache import Decoded, cached
from trainables.image_data import DataError, DataMissing, ImageData
from trainables.pictures import decode_classes, list_classes

TRAIN_FOLDERS = ("train", "train_data")
TEST_FOLDERS = ("test", "test_data")
MAX_NAME_BYTES = 255
"""Bytes that a file's name may have, in most file systems."""
TEST_FRACTION = 0.2
"""The part of each class that becomes the test set where the folder has no split."""

Classes = dict[str, list[Path]]
"""The picture files of each class."""


def load(root: Path, *, folder: str, image_size: int | None = None) -> ImageData:
    """Load the pictures under `root/folder`: `train/<class>/*` and `test/<class>/*`, or just `<class>/*`.

    Without a test folder a fixed, stratified fifth is set aside as the test set.

    Args:
        root: the folder of all data sets.
        folder: the folder of this one, under `root`.
        image_size: pixels a side that all pictures are resized to; needed where sizes differ.

    Raises:
        DataMissing: there is no such folder, or it has no class.
        DataError: a picture cannot be read, sizes differ, the classes of train and test differ, or the folder is
            not under `root`.
    """
    check_folder(folder)
    place = root / folder
    if not place.is_dir():
        raise DataMissing(
            f"no folder {place}: put train/<class>/*.jpg and test/<class>/*.jpg there, or name another with data.folder"
        )
    train, test = _list_parts(place)
    files = [path for classes in (train, test or {}) for paths in classes.values() for path in paths]
    return cached(
        place.name, files, lambda: _decode(place, train, test, image_size), options=f"image_size={image_size}"
    )


def check_folder(folder: str) -> None:
    """Refuse what is not the name of a folder under the data directory. Links in there are followed: they are wanted.

    Raises:
        DataError: the path leads out of the data directory, or can be no folder's name.
    """
    path = Path(folder)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"must be a folder under the data directory, without '..', not {folder!r}: see --data-dir")
    if "\0" in folder or any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.parts):
        raise DataError(f"must be the name of a folder, not {folder!r}")


def _list_parts(place: Path) -> tuple[Classes, Classes | None]:
    """List the pictures to train on and those to test on; the latter are None where the folder has no split.

    Raises:
        DataMissing: the folder has no class.
        DataError: one of the two parts is missing, or they have different classes.
    """
    train, test = _first(place, TRAIN_FOLDERS), _first(place, TEST_FOLDERS)
    if (train is None) != (test is None):
        have, lack = ("train", "test") if test is None else ("test", "train")
        raise DataError(f"{place} has a {have} folder but no {lack} folder: add it, or put the classes directly there")
    if train is None or test is None:
        return list_classes(place), None
    train_classes, test_classes = list_classes(train), list_classes(test)
    if tuple(test_classes) != tuple(train_classes):
        odd = sorted(set(train_classes) ^ set(test_classes))
        raise DataError(f"{train} and {test} must have the same class folders; {', '.join(odd)} is in one only")
    return train_classes, test_classes


def _decode(place: Path, train: Classes, test: Classes | None, image_size: int | None) -> Decoded:
    names = tuple(train)
    images, labels = decode_classes(train, names, image_size)
    if test is None:
        held_out = _held_out(labels, len(names))
        return Decoded(names, images[~held_out], labels[~held_out], images[held_out], labels[held_out])
    test_images, test_labels = decode_classes(test, names, image_size)
    if test_images.shape[1:] != images.shape[1:]:
        sizes = (f"{a.shape[2]}x{a.shape[1]}" for a in (images, test_images))
        folders = (_first(place, part) for part in (TRAIN_FOLDERS, TEST_FOLDERS))
        described = ", in ".join(f"{folder} are {size}" for folder, size in zip(folders, sizes, strict=True))
        raise DataError(f"pictures in {described}: set data.image_size")
    return Decoded(names, images, labels, test_images, test_labels)


def _first(place: Path, names: tuple[str, ...]) -> Path | None:
    return next((place / name for name in names if (place / name).is_dir()), None)


def _held_out(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Choose the test images of a folder without a split: bool [N]."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in range(n_classes):
        members = np.flatnonzero(labels == label)
        np.random.default_rng(label).shuffle(members)
        mask[members[: max(1, round(TEST_FRACTION * len(members)))]] = True
    return mask
