"""Augmentations of whole batches on the device, one function each, by the names of `TrainConfig.augment`.

Each takes uint8 images [B, H, W, C] and returns a new tensor of the same shape. Random numbers are drawn
by a generator on the CPU, so that a GPU sees the same ones. What they do to an image is in `transforms.py`.
"""

import torch
import torch.nn.functional as F

from trainables import transforms
from trainables.config import TrainConfig, parts


def flip(images: torch.Tensor, _config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    chosen = torch.arange(len(images)) + len(images) * mirrored
    return torch.cat([images, images.flip(2)]).index_select(0, chosen.to(images.device))


def crop(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Cut a random window of the original size out of each image padded with black."""
    count, height, width, channels = images.shape
    padding = config.crop_padding
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    offsets = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)
    rows = torch.arange(count)[:, None] * padded.shape[1] + offsets[0] + torch.arange(height)
    starts = rows * padded.shape[2] + offsets[1]
    # Copied row by row, for pixel by pixel takes a CPU 20 times as long.
    windows = padded.view(-1).unfold(0, width * channels, channels)
    return windows.index_select(0, starts.view(-1).to(images.device)).view(images.shape)


def rotate(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Turn each image by up to `rotate_degrees`, either way."""
    return transforms.rotate(images, _uniform(config.rotate_degrees, images, generator))


def shift(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Move each image by up to `shift_fraction` of its width and height, by fractions of a pixel too."""
    columns = _uniform(config.shift_fraction * images.shape[2], images, generator)
    rows = _uniform(config.shift_fraction * images.shape[1], images, generator)
    return transforms.shift(images, columns, rows)


def scale(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Resize each image about its middle by up to `scale_range`; pixels that it no longer covers are black."""
    return transforms.scale(images, 1 + _uniform(config.scale_range, images, generator))


def gamma(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Make each image darker or brighter by a power in 1 -+ `gamma_range`."""
    return transforms.gamma(images, 1 + _uniform(config.gamma_range, images, generator))


def jitter(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Change each image's brightness, then its contrast, then its saturation, each by up to `jitter_strength`."""
    for change in (transforms.brightness, transforms.contrast, transforms.saturation):
        images = change(images, 1 + _uniform(config.jitter_strength, images, generator))
    return images


def _uniform(limit: float, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw one number for each image, uniform in -limit..limit: float [B]."""
    return (limit * (2 * torch.rand(len(images), generator=generator) - 1)).to(images.device)


AUGMENT = {
    "crop": crop,
    "flip": flip,
    "gamma": gamma,
    "jitter": jitter,
    "rotate": rotate,
    "scale": scale,
    "shift": shift,
}


def augment(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    """Apply the configuration's augmentations in the order in which it names them."""
    for name in parts(config.augment):
        images = AUGMENT[name](images, config, generator)
    return images
