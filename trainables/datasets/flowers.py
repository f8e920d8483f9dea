"""Flower photographs, 256 x 256, three classes, in folders of pictures."""

from pathlib import Path

from trainables.datasets import image_folder
from trainables.image_data import ImageData


def load(root: Path, *, image_size: int | None = None) -> ImageData:
    """`root/flowers/train_data/<class>/*.jpg` (300 pictures) and `test_data/<class>/*.jpg` (600).

    Args:
        image_size: resize all to this many pixels a side.

    Raises:
        DataMissing: it is not there.
        DataError: a picture cannot be read, or sizes differ.
    """
    return image_folder.load(root, folder="flowers", image_size=image_size)
