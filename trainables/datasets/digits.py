"""The 1,797 handwritten digits that ship inside scikit-learn: nothing to download."""

import importlib.util
from pathlib import Path

import numpy as np

from trainables.cache import Decoded, cached
from trainables.image_data import DataMissing, ImageData

TEST_STRIDE = 5
"""Every fifth image is a test image: scikit-learn has no split of its own."""


def load(_root: Path) -> ImageData:
    """Load grey 32 x 32 images, 1,437 to train and 360 to test, which need no files in the data directory.

    scikit-learn holds them as 8 x 8 counts of the ink in 4 x 4 blocks of 32 x 32 bitmaps. They are
    brought back to that size (each count fills its block), so that networks for 32 x 32 images fit.

    Raises:
        DataMissing: scikit-learn is not installed.
    """
    # The package is located without being imported, which takes seconds, for workers find the cache full.
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataMissing("the digits come with scikit-learn, which is not installed")
    source = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    return cached("digits", [source], _decode)


def _decode() -> Decoded:
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.minimum(digits.images * 16, 255).astype(np.uint8)
    images = grey.repeat(4, axis=1).repeat(4, axis=2)[..., None]
    labels = digits.target.astype(np.int64)
    test = np.arange(len(labels)) % TEST_STRIDE == 0
    return Decoded(tuple("0123456789"), images[~test], labels[~test], images[test], labels[test])
