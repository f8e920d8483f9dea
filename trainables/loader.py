"""Batches without a data pipeline: the whole set is one uint8 tensor, memory-mapped or on the GPU."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from trainables.augment import augment
from trainables.config import TrainConfig
from trainables.data import ImageData, Split

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images float32 [B, C, H, W] (channels last in memory), labels int64 [B]"""

EVALUATION_BATCH = 1000

ORDER, AUGMENTATION, INITIAL_WEIGHTS, LAYERS = range(4)
"""Independent streams of random numbers within one run; LAYERS is what dropout draws from."""


def seed_for(config: TrainConfig, stream: int, epoch: int = 0) -> int:
    """A seed for one stream of one epoch. Nothing random outlives an epoch, so a resumed run needs no RNG state."""
    return int(np.random.SeedSequence([config.seed, stream, epoch]).generate_state(1)[0])


class Loader:
    """The batches of one run: training ones shuffled and augmented anew each epoch, the others in order."""

    def __init__(self, split: Split, config: TrainConfig, device: torch.device):
        """Refer to the images on the device; nothing is copied on the CPU."""
        self.config = config
        self.split = split
        self.device = device
        self._train = torch.from_numpy(split.train).to(device)
        self._offset, self._scale = _normalization(split.data, config, device)

    def __len__(self) -> int:
        """Training batches an epoch."""
        size, n = self.config.batch_size, len(self._train)
        return n // size + (n % size > 1)

    @property
    def n_train(self) -> int:
        """Training images."""
        return len(self._train)

    def training(self, epoch: int) -> Iterator[Batch]:
        """The shuffled, augmented batches of an epoch (from 0).

        A last batch of a single image is left out: batch normalisation cannot take it, and the next
        epoch's order brings that image back.
        """
        images, labels = _on_device(self.split.data, "train", self.device)
        order = torch.randperm(len(self._train), generator=self._generator(ORDER, epoch)).to(self.device)
        shuffled = self._train[order]
        generator = self._generator(AUGMENTATION, epoch)
        for i in range(len(self)):
            picked = shuffled[i * self.config.batch_size : (i + 1) * self.config.batch_size]
            yield self._normalized(augment(images[picked], self.config, generator)), labels[picked]

    def validation(self) -> Iterator[Batch]:
        """The validation set: the part set aside, or the test set where that stands in."""
        if self.split.validation is None:
            return self.test()
        images, labels = _on_device(self.split.data, "train", self.device)
        return self._in_order(images, labels, torch.from_numpy(self.split.validation).to(self.device))

    def test(self) -> Iterator[Batch]:
        """The test set."""
        images, labels = _on_device(self.split.data, "test", self.device)
        return self._in_order(images, labels, torch.arange(len(labels), device=self.device))

    def _in_order(self, images: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor) -> Iterator[Batch]:
        for picked in indices.split(EVALUATION_BATCH):
            yield self._normalized(images[picked]), labels[picked]

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 3, 1, 2).float().sub_(self._offset).mul_(self._scale)

    def _generator(self, stream: int, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_for(self.config, stream, epoch))


def normalization(data: ImageData, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Per channel, what is subtracted from a pixel (0..255), and what the difference is multiplied by."""
    channels = len(data.mean)
    mean, std = {
        "dataset": (data.mean, data.std),
        "half": ([0.5] * channels, [0.5] * channels),
        "none": ([0.0] * channels, [1.0] * channels),
    }[config.normalize]
    return [255 * m for m in mean], [1 / (255 * s) for s in std]


def _normalization(data: ImageData, config: TrainConfig, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    offset, scale = normalization(data, config)
    return (
        torch.tensor(offset, device=device).view(1, -1, 1, 1),
        torch.tensor(scale, device=device).view(1, -1, 1, 1),
    )


def _on_device(data: ImageData, part: str, device: torch.device) -> Batch:
    """uint8 images [N, H, W, C] and labels. On the CPU a view of the mapped file, on a GPU one copy a process."""
    images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
    if device.type == "cpu":
        return torch.from_numpy(images), torch.from_numpy(labels)
    return _copied(_ByFingerprint(data), part, device)


class _ByFingerprint:
    """A data set as a cache key: equal when the pixels are."""

    def __init__(self, data: ImageData):
        self.data = data

    def __hash__(self) -> int:
        return hash(self.data.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByFingerprint) and self.data.fingerprint == other.data.fingerprint


@lru_cache(maxsize=2)
def _copied(key: _ByFingerprint, part: str, device: torch.device) -> Batch:
    images, labels = getattr(key.data, f"{part}_images"), getattr(key.data, f"{part}_labels")
    return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
