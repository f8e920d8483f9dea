"""Data sets made for tests: small, learnable, and in the layout of each module of trainables/datasets."""

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trainables.datasets.cifar10 import CLASSES, TRAIN_BATCHES
from trainables.image_data import ImageData
from trainables.split import Split, split

Part = tuple[np.ndarray, np.ndarray]
"""Images uint8 [N, H, W, C], labels int64 [N]"""


def made_part(n_classes: int, per_class: int, seed: int, size: int = 32, channels: int = 3) -> Part:
    """Noise, each class of its own brightness, the classes mixed."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(n_classes), per_class))
    noise = random.integers(0, 60, (len(labels), size, size, channels))
    return (noise + (labels * (190 // n_classes))[:, None, None, None]).astype(np.uint8), labels


def image_data(train: Part, test: Part) -> ImageData:
    """Arrays as a data set, without a file."""
    scaled = train[0] / 255
    return ImageData(
        name="made",
        classes=tuple(f"class {label}" for label in range(train[1].max() + 1)),
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        mean=tuple(scaled.mean((0, 1, 2)).tolist()),
        std=tuple(scaled.std((0, 1, 2)).tolist()),
        fingerprint="made",
    )


def made_split(n_classes: int = 3, per_class: int = 30, size: int = 16, channels: int = 3) -> Split:
    """A learnable data set of which a fifth validates."""
    data = image_data(made_part(n_classes, per_class, 1, size, channels), made_part(n_classes, 5, 2, size, channels))
    return split(data, validation=0.2, train_fraction=1, seed=0)


def weights(model: Any) -> Any:
    """All parameters of a model in one vector."""
    import torch

    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def cifar10_parts(per_class: int = 4, test_per_class: int = 2) -> dict[str, Part]:
    """Ten classes of 32 x 32 pictures, to train and to test."""
    return {"train": made_part(10, per_class, 1), "test": made_part(10, test_per_class, 2)}


def shuffled(part: Part, seed: int) -> Part:
    order = np.random.default_rng(seed).permutation(len(part[1]))
    return part[0][order], part[1][order]


def png(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 did, in which the published batches were pickled."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = save_string
    dispatch[bytes] = save_string


def write_cifar10_batches(root: Path, parts: dict[str, Part], seed: int = 0) -> Path:
    """As torchvision unpacks it: `cifar-10-batches-py/data_batch_1..5` and `test_batch`."""
    place = root / "cifar-10-batches-py"
    place.mkdir(parents=True)
    images, labels = shuffled(parts["train"], seed)
    batches = dict(
        zip(TRAIN_BATCHES, zip(np.array_split(images, 5), np.array_split(labels, 5), strict=True), strict=True)
    )
    batches["test_batch"] = shuffled(parts["test"], seed)
    for name, (pictures, numbers) in batches.items():
        data = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).reshape(-1, 3072)
        content = {"batch_label": name, "labels": numbers.tolist(), "data": data, "filenames": ["x.png"] * len(data)}
        with open(place / name, "wb") as file:
            Python2Pickler(file, protocol=2).dump(content)
    return place


def write_parquet(
    path: Path, part: Part, image_column: str = "img", bytes_of: Callable[[np.ndarray], bytes] = png
) -> None:
    """One file of the hub's: `img` = struct{bytes: PNG, path}, `label`."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = pyarrow.array(
        [{"bytes": bytes_of(image), "path": None} for image in part[0]],
        pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
    )
    pyarrow.parquet.write_table(pyarrow.table({image_column: pictures, "label": part[1]}), path)


def write_cifar10_parquet(root: Path, parts: dict[str, Part], seed: int = 0) -> Path:
    place = root / "cifar10"
    for name, part in parts.items():
        write_parquet(place / f"{name}-00000-of-00001.parquet", shuffled(part, seed))
    return place


def write_cifar10_folders(root: Path, parts: dict[str, Part], seed: int = 0) -> Path:
    place = root / "cifar10"
    for name, part in parts.items():
        for i, (image, label) in enumerate(zip(*shuffled(part, seed), strict=True)):
            path = place / name / CLASSES[label] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))
    return place


DIGITS_MAT = {"train": ("X", "y"), "validation": ("Xvalid", "yvalid"), "test": ("Xtest", "ytest")}
"""The published names of the matrices."""


def digits_mat_parts(per_class: int = 3) -> dict[str, Part]:
    """Grey 16 x 16 images of ten digits, every image another, in three parts."""
    return {part: made_part(10, per_class, seed, 16, 1) for seed, part in enumerate(DIGITS_MAT)}


def digits_mat_content(parts: dict[str, Part]) -> dict[str, np.ndarray]:
    """The matrices as published: a row an image, column by column; labels 1 to 10, of which 10 is the digit 0."""
    content = {}
    for part, (images, labels) in parts.items():
        pixels, numbers = DIGITS_MAT[part]
        content[pixels] = np.stack([image[:, :, 0].flatten(order="F") for image in images])
        content[numbers] = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    return content


def write_digits_mat(root: Path, content: dict[str, np.ndarray], place: str = "digits/digits.mat") -> Path:
    from scipy.io import savemat

    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content)
    return path


def write_flowers(root: Path, size: int = 32) -> Path:
    """`flowers/train_data/<class>/*.jpg` and `flowers/test_data/<class>/*.jpg`"""
    from PIL import Image

    for part, per_class, seed in (("train_data", 4, 1), ("test_data", 2, 2)):
        for i, (image, label) in enumerate(zip(*made_part(3, per_class, seed, size), strict=True)):
            path = root / "flowers" / part / FLOWERS[label] / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root / "flowers"


FLOWERS = ("daisy", "dandelion", "rose")


def _cifar10(root: Path) -> dict[str, Any]:
    write_cifar10_parquet(root, cifar10_parts())
    return {}


def _digits(root: Path) -> dict[str, Any]:
    return {}  # ships inside scikit-learn


def _digits_mat(root: Path) -> dict[str, Any]:
    write_digits_mat(root, digits_mat_content(digits_mat_parts()))
    return {}


def _flowers(root: Path) -> dict[str, Any]:
    write_flowers(root)
    return {}


def _image_folder(root: Path) -> dict[str, Any]:
    from conftest import write_picture_folders

    write_picture_folders(root / "pictures", ("cat", "dog"), {"train": 4, "test": 2})
    return {"folder": "pictures"}


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "cifar10": _cifar10,
    "digits": _digits,
    "digits_mat": _digits_mat,
    "flowers": _flowers,
    "image_folder": _image_folder,
}
"""By file name in trainables/datasets: writes a tiny instance under a root, returns what else `load` needs."""
