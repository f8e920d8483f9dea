"""Picture files read into arrays; an error names the file that cannot be read."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.image_data import DataError, DataMissing

PICTURE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def list_classes(folder: Path) -> dict[str, list[Path]]:
    """List the picture files of each class, which is a sub-folder; classes and files are sorted.

    Raises:
        DataMissing: there is no such folder, or it has no sub-folder.
        DataError: a class has no picture.
    """
    if not folder.is_dir():
        raise DataMissing(f"no folder {folder}: put a sub-folder of pictures for each class there")
    classes = {
        entry.name: sorted(path for path in entry.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    if not classes:
        raise DataMissing(f"{folder} has no sub-folders: put a sub-folder of pictures for each class there")
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise DataError(
            f"no pictures in {folder}/{empty[0]}: remove the folder, or add {', '.join(sorted(PICTURE_SUFFIXES))} files"
        )
    return classes


def decode(source: Path | bytes, *, where: str, size: int | None = None) -> np.ndarray:
    """Decode one picture: uint8 [H, W, 3].

    Args:
        source: a file, or the content of one.
        where: names the picture in a message.
        size: pixels a side that the picture is resized to (bilinear), None for its own size.

    Raises:
        DataError: the picture cannot be read; the message begins with `where`.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            rgb = picture.convert("RGB")
            if size is not None and rgb.size != (size, size):
                rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(rgb)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is not a readable picture ({error}): replace or remove it") from error


def decode_classes(
    classes: dict[str, list[Path]], names: Sequence[str], size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Decode all pictures of all classes.

    Args:
        classes: the picture files of each class.
        names: all classes; a label is an index into them.
        size: pixels a side that all pictures are resized to, None where they are of one size.

    Returns:
        Images, uint8 [N, H, W, 3], and labels, int64 [N].

    Raises:
        DataError: a picture cannot be read, or sizes differ and no `size` is given.
    """
    images: list[np.ndarray] = []
    labels: list[int] = []
    for name, files in classes.items():
        for path in files:
            image = decode(path, where=str(path), size=size)
            if images and image.shape != images[0].shape:
                first = f"{images[0].shape[1]}x{images[0].shape[0]}"
                raise DataError(
                    f"{path} is {image.shape[1]}x{image.shape[0]}, others are {first}: "
                    "set data.image_size to resize all"
                )
            images.append(image)
            labels.append(names.index(name))
    return np.stack(images), np.array(labels, dtype=np.int64)
