"""CIFAR-10 (Krizhevsky 2009): 60,000 colour pictures of 32 x 32 in 10 classes; 10,000 are the test set."""

import fcntl
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from contract.formatting import first_line
from trainables import plain_pickle
from trainables.cache import Decoded, cached, canonical_order
from trainables.image_data import DataError, DataMissing, ImageData
from trainables.pictures import decode, decode_classes, list_classes

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
HOST = "www.cs.toronto.edu"
"""The host that torchvision downloads from."""
CONNECT_TIMEOUT_S = 5
SHAPE = (32, 32, 3)
"""Height, width and channels of an image."""

Found = tuple[list[Path], Callable[[], Decoded]]
"""The files of one form, and the function that reads them."""


def load(root: Path) -> ImageData:
    """Load CIFAR-10 from whichever of its three forms is under `root`; download it if none is.

    The forms are torchvision's `cifar-10-batches-py/`, the Hugging Face hub's parquet files
    (`cifar10/train-*.parquet`, `cifar10/test-*.parquet`) and folders of pictures
    (`cifar10/train/<class>/*.png`, `cifar10/test/<class>/*.png`). All give identical arrays, whose
    order does not depend on that of the files (`canonical_order`).

    Raises:
        DataMissing: no form is there, and the host to download from cannot be reached.
        DataError: a file is damaged or has the wrong contents.
    """
    for find in (_find_batches, _find_parquet, _find_folders):
        found = find(root)
        if found is not None:
            files, read = found
            return cached("cifar10", files, read)
    _download(root)
    found = _find_batches(root)
    if found is None:
        raise DataMissing(f"the download of CIFAR-10 left no {BATCHES} in {root}: remove what is there and try again")
    files, read = found
    return cached("cifar10", files, read)


def _find_batches(root: Path) -> Found | None:
    place = next((p for p in (root / BATCHES, root / "cifar10" / BATCHES) if p.is_dir()), None)
    if place is None:
        return None
    train, test = [place / name for name in TRAIN_BATCHES], [place / "test_batch"]
    missing = [path for path in train + test if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is missing: unpack the whole archive again")

    def read() -> Decoded:
        return _decoded(_read_batches(train), _read_batches(test))

    return train + test, read


def _find_parquet(root: Path) -> Found | None:
    place = root / "cifar10"
    train, test = sorted(place.rglob("train-*.parquet")), sorted(place.rglob("test-*.parquet"))
    if not train and not test:
        return None
    if not (train and test):
        lack = "test" if train else "train"
        raise DataError(f"{place} has no {lack}-*.parquet: fetch the data set's other file too")

    def read() -> Decoded:
        return _decoded(_read_parquet(train), _read_parquet(test))

    return train + test, read


def _find_folders(root: Path) -> Found | None:
    place = root / "cifar10"
    parts = [place / part for part in ("train", "test")]
    missing = [part for part in parts if not part.is_dir()]
    if len(missing) == len(parts):
        return None
    if missing:
        raise DataError(f"{missing[0]} is missing: CIFAR-10 as folders has train/<class>/ and test/<class>/")
    train, test = (list_classes(part) for part in parts)
    for classes in (train, test):
        if tuple(classes) != CLASSES:
            raise DataError(f"{place} must have the class folders {', '.join(CLASSES)} in train and in test")

    def read() -> Decoded:
        parts = (decode_classes(classes, CLASSES, None) for classes in (train, test))
        return _decoded(*(_checked(images, labels, place) for images, labels in parts))

    return [path for classes in (train, test) for paths in classes.values() for path in paths], read


def _read_batches(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = [], []
    for path in files:
        try:
            batch = plain_pickle.read(path)
            pixels = np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            pixels, classes = _checked(pixels, np.asarray(batch["labels"], np.int64), path)
        except Exception as error:  # a damaged pickle can raise nearly anything
            raise DataError(f"{path} is damaged ({error}): unpack the archive again") from error
        images.append(pixels)
        labels.append(classes)
    return np.concatenate(images), np.concatenate(labels)


def _read_parquet(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow
    import pyarrow.parquet

    images, labels = [], []
    for path in files:
        try:
            table = pyarrow.parquet.read_table(path, columns=["img", "label"])
            pictures = table["img"].combine_chunks().field("bytes").to_pylist()
            classes = table["label"].to_numpy().astype(np.int64)
        except (pyarrow.ArrowException, OSError, KeyError, AttributeError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is not a readable parquet file of CIFAR-10 ({first_line(error)}): fetch it again"
            ) from error
        decoded = [decode(picture, where=f"{path}, row {row}") for row, picture in enumerate(pictures)]
        for row, picture in enumerate(decoded):
            _checked_size(picture, f"{path}, row {row}")
        pixels, classes = _checked(np.stack(decoded), classes, path)
        images.append(pixels)
        labels.append(classes)
    return np.concatenate(images), np.concatenate(labels)


def _checked_size(picture: np.ndarray, where: str) -> np.ndarray:
    if picture.shape != SHAPE:
        raise DataError(f"{where} is {picture.shape[1]}x{picture.shape[0]}, pictures of CIFAR-10 are 32x32")
    return picture


def _checked(images: np.ndarray, labels: np.ndarray, place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels as they are, once they are known to fit CIFAR-10.

    Raises:
        DataError: their size or number is another, or a label is out of range.
    """
    _checked_size(images[0], str(place))
    if len(images) != len(labels):
        raise DataError(f"{place} has {len(images)} pictures and {len(labels)} labels: fetch it again")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DataError(f"{place} has labels from {labels.min()} to {labels.max()}, those of CIFAR-10 are 0 to 9")
    return images, labels


def _decoded(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Decoded:
    arrays = []
    for images, labels in (train, test):
        order = canonical_order(images, labels)
        arrays += [images[order], labels[order]]
    return Decoded(CLASSES, *arrays)


def _download(root: Path) -> None:
    """Fetch the archive by torchvision.

    One of several starting processes does so, and the archive appears in `root` as a whole.

    Raises:
        DataMissing: the host cannot be reached, or the download fails.
    """
    try:
        socket.create_connection((HOST, 443), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise DataMissing(
            f"no CIFAR-10 under {root}, and {HOST} cannot be reached to download it ({error}): put {BATCHES}/, "
            f"cifar10/*.parquet or cifar10/train/<class>/*.png there, or say where it is with --data-dir"
        ) from error
    from torchvision.datasets import CIFAR10

    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".cifar10.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (root / BATCHES).exists():
            return
        with tempfile.TemporaryDirectory(dir=root, prefix=".cifar10-") as temporary:
            try:
                CIFAR10(temporary, download=True)
                (Path(temporary) / BATCHES).rename(root / BATCHES)
            except (OSError, RuntimeError) as error:
                raise DataMissing(f"the download of CIFAR-10 into {root} failed: {error}") from error
