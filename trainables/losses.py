"""The loss that is trained on, and the one that is reported, by the names of `TrainConfig.loss`."""

import torch
import torch.nn.functional as F

from trainables.config import TrainConfig


def training_loss(config: TrainConfig, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over a batch, labels smoothed (Szegedy et al. 2016, section 7).

    Args:
        logits: float [B, classes].
        labels: int64 [B].
    """
    if config.loss == "squared_error":
        return _squared_error(logits, labels) / len(labels)
    return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)


def evaluation_loss(config: TrainConfig, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over a batch, labels as they are: comparable between runs that smooth differently."""
    if config.loss == "squared_error":
        return _squared_error(logits, labels)
    return F.cross_entropy(logits, labels, reduction="sum")


def _squared_error(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(logits, F.one_hot(labels, logits.shape[1]).to(logits.dtype), reduction="sum")
