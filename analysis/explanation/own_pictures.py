"""Pictures of the user's own, made to look like the data set's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.errors import Missing
from trainables.image_data import DataError
from trainables.pictures import decode

MAX_PICTURES = 24
"""Pictures that one sheet has room for."""


@dataclass(frozen=True)
class Own:
    """The user's own pictures, at least one."""

    images: np.ndarray
    """The pictures: uint8 [B, H, W, C]."""
    names: list[str]
    """The names of their files."""
    note: str
    """What was left out, in a sentence; empty where nothing was."""


def read(folder: Path, input_shape: tuple[int, int, int]) -> Own:
    """Read the first pictures of a folder, resized as `trainables.datasets.image_folder` does; grey where the data is.

    Args:
        folder: the pictures' folder.
        input_shape: (channels, height, width) of the data set's images.

    Raises:
        Missing: there is no such folder, or nothing in it that PIL can read.
    """
    if not folder.is_dir():
        raise Missing(f"There is no folder {folder}.")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images, names, unreadable = [], [], []
    for path in files:
        try:
            images.append(_fitted(decode(path, where=path.name), input_shape))
            names.append(path.name)
        except DataError:
            unreadable.append(path.name)
        if len(images) == MAX_PICTURES:
            break
    notes = [f"Cannot be read as pictures: {', '.join(unreadable)}."] if unreadable else []
    if not images:
        raise Missing(" ".join([f"Nothing in {folder} can be read as a picture.", *notes]))
    if left := len(files) - len(images) - len(unreadable):
        notes.append(f"{left} more files are left out.")
    return Own(np.stack(images), names, " ".join(notes))


def _fitted(picture: np.ndarray, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Resize a picture: uint8 [H', W', 3] to [H, W, C]."""
    channels, height, width = input_shape
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized) if channels == 3 else np.asarray(resized.convert("L"))[..., None]
