"""Batches without a data pipeline: the whole set is one uint8 tensor, memory-mapped or on the GPU."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from trainables.augment import augment
from trainables.config import TrainConfig
from trainables.enlarge import enlarge, variants
from trainables.image_data import ImageData
from trainables.split import Split

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images, float32 [B, C, H, W] (channels last in memory), and labels, int64 [B]."""

MAX_EVALUATION_IMAGES = 1000
"""Images that are evaluated at once, at most."""
EVALUATION_BATCH_PIXELS = MAX_EVALUATION_IMAGES * 32 * 32
"""Pixels that are evaluated at once: those of 1,000 images of CIFAR-10."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

ORDER, AUGMENTATION, INITIAL_WEIGHTS, LAYERS = range(4)
"""Independent streams of random numbers within one run; dropout draws from LAYERS."""


def seed_for(config: TrainConfig, stream: int, epoch: int = 0) -> int:
    """Derive a seed for one stream of one epoch.

    Nothing random outlives an epoch, so a resumed run needs no state of a generator.
    """
    return int(np.random.SeedSequence([config.seed, stream, epoch]).generate_state(1)[0])


class Loader:
    """The batches of one run: those for training are shuffled and augmented in each epoch, the others are in order."""

    def __init__(self, split: Split, config: TrainConfig, device: torch.device, micro_batch: int | None = None):
        """Put the images on the device; nothing is copied on the CPU.

        Args:
            split: the images to train on and to validate on.
            config: the configuration of the run.
            device: where the batches will be.
            micro_batch: images that may go through the network at once, None for a whole batch.
        """
        self.config, self.micro_batch = config, micro_batch
        self.split = split
        self.device = device
        self._train = torch.from_numpy(split.train).to(device)
        self._offset, self._scale = _normalization(split.data, config, device)

    def __len__(self) -> int:
        """Count the training batches of an epoch."""
        size, n = self.config.batch_size, self.n_train
        return n // size + (n % size > 1)

    @property
    def evaluation_batch(self) -> int:
        """The number of images that are evaluated at once."""
        _, height, width = self.split.data.input_shape
        pixels = self.config.resize**2 or height * width
        images = min(MAX_EVALUATION_IMAGES, EVALUATION_BATCH_PIXELS // pixels)
        return max(1, min(images, self.micro_batch or images))

    @property
    def n_train(self) -> int:
        """The number of training images in an epoch, enlargement included."""
        return len(self._train) * variants(self.config)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the shuffled, augmented batches of an epoch (from 0).

        A last batch of a single image is left out: batch normalisation cannot take it, and another epoch's order has
        that image elsewhere.
        """
        images, labels = _on_device(self.split.data, "train", self.device)
        order = torch.randperm(self.n_train, generator=self._generator(ORDER, epoch)).to(self.device)
        generator, n_variants = self._generator(AUGMENTATION, epoch), variants(self.config)
        for drawn in torch.split(order, self.config.batch_size)[: len(self)]:
            picked = self._train.index_select(0, drawn // n_variants)
            # index_select copies image by image, indexing by a tensor byte by byte: that takes a CPU 20 times as long.
            batch = images.index_select(0, picked)
            if n_variants > 1:
                batch = enlarge(batch, drawn % n_variants, self.config)
            yield self._normalized(augment(batch, self.config, generator)), labels.index_select(0, picked)

    def training_in_order(self) -> Iterator[Batch]:
        """Yield the training images as they are, neither shuffled nor augmented."""
        return self._in_order("train", self.split.train)

    def validation(self) -> Iterator[Batch]:
        """Yield the validation set: the part set aside, the data set's own, or the test set where that stands in."""
        return self._in_order(self.split.validation_part, self.split.validation)

    def test(self) -> Iterator[Batch]:
        """Yield the test set."""
        return self._in_order("test", np.arange(len(self.split.data.test_labels)))

    def _in_order(self, part: str, indices: np.ndarray) -> Iterator[Batch]:
        images, labels = _on_device(self.split.data, part, self.device)
        for picked in torch.split(torch.from_numpy(indices).to(self.device), self.evaluation_batch):
            yield self._normalized(images.index_select(0, picked)), labels.index_select(0, picked)

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        return prepared(images, self._offset, self._scale, self.config.resize)

    def _generator(self, stream: int, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_for(self.config, stream, epoch))


def prepared(images: torch.Tensor, offset: torch.Tensor, scale: torch.Tensor, resize: int) -> torch.Tensor:
    """Normalise and resize (bilinear) images for a network.

    Args:
        images: uint8 [B, H, W, C] (0..255).
        offset: subtracted from each channel, float [C], as `normalization` gives it.
        scale: multiplied with each channel, float [C], as `normalization` gives it.
        resize: pixels a side, 0 for images as they are.

    Returns:
        float32 [B, C, H, W], channels last in memory.
    """
    width = images.shape[2]
    # It is done row by row, for a loop over so few channels takes a CPU seven times as long.
    rows = images.flatten(2).to(torch.float32, copy=True)
    values = rows.sub_(offset.repeat(width)).mul_(scale.repeat(width)).view(images.shape).permute(0, 3, 1, 2)
    if resize:
        # antialias changes nothing in enlarging; without it, shrinking would drop pixels.
        values = F.interpolate(values, (resize, resize), mode="bilinear", antialias=True)
    return values


def normalization(data: ImageData, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Return, per channel, what is subtracted from a pixel (0..255), and what the difference is multiplied by."""
    channels = len(data.mean)
    mean, std = {
        "dataset": (data.mean, data.std),
        "imagenet": (IMAGENET_MEAN[:channels], IMAGENET_STD[:channels]),
        "half": ([0.5] * channels, [0.5] * channels),
        "none": ([0.0] * channels, [1.0] * channels),
    }[config.normalize]
    return [255 * m for m in mean], [1 / (255 * s) for s in std]


def _normalization(data: ImageData, config: TrainConfig, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    offset, scale = normalization(data, config)
    return torch.tensor(offset, device=device), torch.tensor(scale, device=device)


def _on_device(data: ImageData, part: str, device: torch.device) -> Batch:
    """Return images, uint8 [N, H, W, C], and labels of a part: on a CPU views of the mapped files, on a GPU copies.

    A process has one copy of a part, which all its runs share.
    """
    images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
    if device.type == "cpu":
        return torch.from_numpy(images), torch.from_numpy(labels)
    return _gpu_copy(_ByFingerprint(data), part, device)


class _ByFingerprint:
    """A data set as a cache key: equal when the pixels are."""

    def __init__(self, data: ImageData):
        self.data = data

    def __hash__(self) -> int:
        return hash(self.data.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByFingerprint) and self.data.fingerprint == other.data.fingerprint


@lru_cache(maxsize=3)  # a data set has at most three parts: the third is a validation set of its own
def _gpu_copy(key: _ByFingerprint, part: str, device: torch.device) -> Batch:
    images, labels = getattr(key.data, f"{part}_images"), getattr(key.data, f"{part}_labels")
    return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
