"""Handwritten digits as MATLAB matrices: 16 x 16 grey, 5,000 to train, 5,000 to validate, 1,000 to test."""

from pathlib import Path

import numpy as np

from trainables.cache import Decoded, cached
from trainables.image_data import DataError, DataMissing, ImageData

FILE = Path("digits") / "digits.mat"
SIDE_PIXELS = 16
MATRICES = {"train": ("X", "y"), "validation": ("Xvalid", "yvalid"), "test": ("Xtest", "ytest")}
"""Names of the matrices of images and of labels of each part."""
KINDS = ("images", "labels")


def load(root: Path) -> ImageData:
    """Load `root/digits/digits.mat` (or `root/digits.mat`), which has validation and test sets of its own.

    A row of the file is an image column by column, as MATLAB stores it; the arrays have images the right way
    up. Label 10 of the file is the digit 0.

    Raises:
        DataMissing: the file is not there.
        DataError: the file cannot be read, or has other contents.
    """
    path = next((p for p in (root / FILE, root / FILE.name) if p.is_file()), None)
    if path is None:
        raise DataMissing(f"no file {root / FILE}: put digits.mat there")
    return cached("digits_mat", [path], lambda: _decode(path))


def _decode(path: Path) -> Decoded:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
        parts = {part: _part(content[images], content[labels]) for part, (images, labels) in MATRICES.items()}
    except KeyError as error:
        raise DataError(f"{path} has no matrix {error}: it must have {_matrices()}") from error
    except Exception as error:  # a damaged file can raise nearly anything
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from error
    arrays = {f"{part}_{kind}": array for part, pair in parts.items() for kind, array in zip(KINDS, pair, strict=True)}
    return Decoded(classes=tuple("0123456789"), **arrays)


def _part(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if rows.shape[1] != SIDE_PIXELS * SIDE_PIXELS or len(rows) != labels.size:
        raise ValueError(f"{rows.shape[0]} rows of {rows.shape[1]} pixels for {labels.size} labels")
    if labels.min() < 1 or labels.max() > 10:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}, not 1 to 10")
    if not np.array_equal(rows, rows.astype(np.uint8)):
        raise ValueError(f"pixels from {rows.min():g} to {rows.max():g}, not whole numbers from 0 to 255")
    images = rows.reshape(-1, SIDE_PIXELS, SIDE_PIXELS).transpose(0, 2, 1)[..., None]
    return images.astype(np.uint8), labels.ravel().astype(np.int64) % 10


def _matrices() -> str:
    return ", ".join(name for pair in MATRICES.values() for name in pair)
