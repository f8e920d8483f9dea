"""Loss and accuracy of a model over a set of batches."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from trainables.loader import Batch


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[Batch], autocast: torch.autocast) -> tuple[float, float]:
    """Mean cross-entropy (nats an image) and accuracy (0..1), the model in evaluation mode."""
    model.eval()
    loss, correct, count = torch.zeros(()), torch.zeros((), dtype=torch.long), 0
    for images, labels in batches:
        with autocast:
            logits = model(images)
        loss = loss.to(labels.device) + F.cross_entropy(logits.float(), labels, reduction="sum")
        correct = correct.to(labels.device) + (logits.argmax(1) == labels).sum()
        count += len(labels)
    return loss.item() / count, correct.item() / count
