"""A trained network with its normalisation inside, for use outside of training."""

import torch
from torch import nn

from trainables.loader import prepared


class Predictor(nn.Module):
    """A network that takes uint8 images [B, C, H, W] (0..255) and returns class probabilities, float32 [B, classes]."""

    offset: torch.Tensor
    scale: torch.Tensor

    def __init__(self, model: nn.Module, offset: list[float], scale: list[float], resize: int = 0):
        """Wrap a trained network.

        Args:
            model: takes normalised images and returns scores.
            offset: subtracted from each channel, as `loader.normalization` gives it.
            scale: multiplied with each channel, as `loader.normalization` gives it.
            resize: pixels a side, as `TrainConfig.resize`.
        """
        super().__init__()
        self.model = model
        self.resize = resize
        self.register_buffer("offset", torch.tensor(offset))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise the images, apply the network, and take the softmax of its scores."""
        inputs = prepared(images.permute(0, 2, 3, 1), self.offset, self.scale, self.resize)
        scores: torch.Tensor = self.model(inputs)
        return scores.softmax(1)
