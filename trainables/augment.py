"""Augmentations of whole batches on the device, one function each, by the names of `TrainConfig.augment`.

Each takes uint8 images [B, H, W, C] and returns a new tensor of the same shape. Random numbers come
from a CPU generator, so that a GPU sees the same ones.
"""

import torch
import torch.nn.functional as F

from trainables.config import TrainConfig


def flip(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(2), images)


def crop(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Cut a random window of the original size out of each image padded with black."""
    size, padding = images.shape[1:3], config.crop_padding
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    offsets = torch.randint(0, 2 * padding + 1, (2, len(images), 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(size[0], device=images.device)
    columns = offsets[1] + torch.arange(size[1], device=images.device)
    batch = torch.arange(len(images), device=images.device)
    return padded[batch[:, None, None], rows[:, :, None], columns[:, None, :]]


AUGMENT = {"crop": crop, "flip": flip}


def augment(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Apply the configuration's augmentations in the order in which it names them."""
    if config.augment == "none":
        return images
    for name in config.augment.split("+"):
        images = AUGMENT[name](images, config, generator)
    return images
