"""The loss that is trained on, and the one that is reported, by the names of `TrainConfig.loss`."""

import torch
import torch.nn.functional as F

from trainables.config import TrainConfig


def training_loss(config: TrainConfig, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the mean loss over a batch, with smoothed labels (Szegedy et al. 2016, section 7).

    Args:
        config: names the loss and the smoothing.
        logits: the outputs of the network, float [B, classes].
        labels: the right classes, int64 [B].
    """
    if config.loss == "squared_error":
        return _squared_error(logits, labels) / len(labels)
    return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)


def evaluation_loss(config: TrainConfig, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the summed loss over a batch, without smoothing: runs that smooth differently can be compared."""
    if config.loss == "squared_error":
        return _squared_error(logits, labels)
    return F.cross_entropy(logits, labels, reduction="sum")


def _squared_error(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(logits, F.one_hot(labels, logits.shape[1]).to(logits.dtype), reduction="sum")
