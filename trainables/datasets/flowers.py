"""Flower photographs, 256 x 256, three classes, in folders of pictures."""

from pathlib import Path

from trainables.datasets import image_folder
from trainables.image_data import ImageData


def load(root: Path, *, image_size: int | None = None) -> ImageData:
    """Load `root/flowers/train_data/<class>/*.jpg` (300 pictures) and `test_data/<class>/*.jpg` (600).

    Args:
        root: the folder of all data sets.
        image_size: pixels a side that all pictures are resized to.

    Raises:
        DataMissing: the folder is not there.
        DataError: a picture cannot be read, or sizes differ.
    """
    return image_folder.load(root, folder="flowers", image_size=image_size)
