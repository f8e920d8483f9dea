"""A trained network with its normalisation inside, for use outside of training."""

import torch
from torch import nn

from trainables.loader import prepared


class Predictor(nn.Module):
    """Takes uint8 images [B, C, H, W] (0..255) and returns class probabilities float32 [B, classes]."""

    offset: torch.Tensor
    scale: torch.Tensor

    def __init__(self, model: nn.Module, offset: list[float], scale: list[float], resize: int = 0):
        """Args: offset, scale: per channel, as `loader.normalization` gives them; resize: `TrainConfig.resize`."""
        super().__init__()
        self.model = model
        self.resize = resize
        self.register_buffer("offset", torch.tensor(offset))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise, apply the network, soften."""
        return self.model(prepared(images.permute(0, 2, 3, 1), self.offset, self.scale, self.resize)).softmax(1)
