"""Decode a data set once; every process then maps the same pages.

Layout: `<cache>/<name>-<key>/` has an .npy file for each array and meta.json; the key covers the source
files' names, sizes and times. A folder appears whole (renamed into place) or not at all, and a lock
that the kernel drops with its process lets one of several starting workers decode while the rest wait.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.image_data import ImageData

CACHE_VARIABLE = "SEARCH_CACHE_DIR"
"""Environment variable: the folder of all entries."""
FORMAT_VERSION = 2
"""Part of the key: raise it when decoded arrays would differ from those of an earlier version."""
META = "meta.json"
"""Name of the file that describes the arrays of an entry."""
MAX_NAME_CHARACTERS = 100
"""Characters of a data set's name that are part of its entry's folder."""
MIN_VARIANCE = 1e-12
"""Variance of a channel that is the same everywhere: images are divided by the standard deviation."""
ARRAY_NAMES = ("train_images", "train_labels", "test_images", "test_labels", "validation_images", "validation_labels")
"""The arrays of a data set; the last two are there only if it has a validation set of its own."""


@dataclass(frozen=True)
class Decoded:
    """A data set as read from its files: images uint8 [N, H, W, C], labels int64 [N]."""

    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    validation_images: np.ndarray | None = None
    """None unless the data set has a validation set of its own."""
    validation_labels: np.ndarray | None = None
    """None unless the data set has a validation set of its own."""


def cache_dir() -> Path:
    """Return the folder of all entries: SEARCH_CACHE_DIR, or one in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hyperparameter-search"
    return Path(os.environ.get(CACHE_VARIABLE, default))


def cached(name: str, sources: Sequence[Path], decode: Callable[[], Decoded], *, options: str = "") -> ImageData:
    """Read a data set from the cache, after decoding it into the cache where it is not there yet.

    Args:
        name: the data set's name.
        sources: the files that it is decoded from; a change to one of them makes a new entry.
        decode: reads these files.
        options: whatever else the decoded arrays depend on.
    """
    return _entry(name, _key(sources, options), lambda folder: _save(decode(), folder))


def copied(name: str, fingerprint: str, fetch: Callable[[Path], None]) -> ImageData:
    """Read a data set that was decoded elsewhere (see `save`), after fetching it where the cache does not have it yet.

    Args:
        name: the data set's name.
        fingerprint: the data set's fingerprint.
        fetch: puts the files that `save` wrote into a folder.
    """
    return _entry(name, fingerprint, fetch)


def save(data: ImageData, folder: Path) -> None:
    """Write a data set into a folder, as an entry of the cache has it."""
    for array_name in ARRAY_NAMES:
        if (array := getattr(data, array_name)) is not None:
            np.save(folder / f"{array_name}.npy", array)
    meta = {"classes": data.classes, "mean": data.mean, "std": data.std, "fingerprint": data.fingerprint}
    (folder / META).write_text(json.dumps(meta))


def canonical_order(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the indices that sort images by a digest of their pixels and label: int64 [N].

    The order of the files is lost on the way through folders and shuffled archives; this one is the
    same for the same images in whatever files they are stored, and mixes the classes.

    Args:
        images: uint8 [N, H, W, C].
        labels: int64 [N].
    """
    digests = [
        hashlib.blake2b(image.tobytes() + int(label).to_bytes(8, "little"), digest_size=16).digest()
        for image, label in zip(images, labels, strict=True)
    ]
    return np.argsort(np.array(digests, dtype="S16"), kind="stable")


def _safe(name: str) -> str:
    """Make a name, which may be that of any folder of the user's, fit to be part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:MAX_NAME_CHARACTERS]


def _key(sources: Sequence[Path], options: str) -> str:
    digest = hashlib.blake2b(f"{FORMAT_VERSION} {options}".encode(), digest_size=8)
    for path in sorted(sources):
        stat = path.stat()
        digest.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _entry(name: str, key: str, fill: Callable[[Path], None]) -> ImageData:
    folder = cache_dir() / f"{_safe(name)}-{key}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_name(f"{folder.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                _fill(folder, fill)
    return _read(name, folder)


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    for unfinished in folder.parent.glob(f".{folder.name}-*"):  # left by a killed process, for the lock is ours
        shutil.rmtree(unfinished)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        fill(temporary)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _save(decoded: Decoded, folder: Path) -> None:
    fingerprint = hashlib.blake2b(json.dumps(decoded.classes).encode(), digest_size=16)
    arrays = {name: np.ascontiguousarray(a) for name in ARRAY_NAMES if (a := getattr(decoded, name)) is not None}
    for array in arrays.values():
        fingerprint.update(str(array.shape).encode())
        fingerprint.update(array.data)
    mean, std = _statistics(decoded.train_images)
    digest = fingerprint.hexdigest()
    save(ImageData("", decoded.classes, **arrays, mean=tuple(mean), std=tuple(std), fingerprint=digest), folder)


def _read(name: str, folder: Path) -> ImageData:
    meta = json.loads((folder / META).read_text())
    # "c" shares the pages between processes as "r" does, and lets torch.from_numpy take the array
    # without a warning that it is read-only.
    arrays = {path.stem: np.load(path, mmap_mode="c") for path in folder.glob("*.npy")}
    return ImageData(
        name=name,
        classes=tuple(meta["classes"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        fingerprint=meta["fingerprint"],
        **arrays,
    )


def _statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Compute mean and standard deviation of each channel, of values scaled to 0..1, exactly, by counting values."""
    values = np.arange(256) / 255
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]
    mean = [float(count @ values / count.sum()) for count in counts]
    variance = [float(count @ (values - m) ** 2 / count.sum()) for count, m in zip(counts, mean, strict=True)]
    return mean, [max(v, MIN_VARIANCE) ** 0.5 for v in variance]
