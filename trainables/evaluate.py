"""Loss and accuracy of a model over a set of batches."""

from collections.abc import Iterable

import torch
from torch import nn

from trainables.config import TrainConfig
from trainables.loader import Batch
from trainables.losses import evaluation_loss
from trainables.precision import autocast_for


@torch.inference_mode()
def evaluate(config: TrainConfig, model: nn.Module, batches: Iterable[Batch]) -> tuple[float, float]:
    """Evaluate a model, which is put into evaluation mode: the mean loss of an image, and the accuracy (0..1)."""
    model.eval()
    loss, correct, count = torch.zeros(()), torch.zeros((), dtype=torch.long), 0
    for images, labels in batches:
        with autocast_for(config, images.device):
            logits = model(images)
        loss = loss.to(labels.device) + evaluation_loss(config, logits.float(), labels)
        correct = correct.to(labels.device) + (logits.argmax(1) == labels).sum()
        count += len(labels)
    return loss.item() / count, correct.item() / count
