"""The last layer refitted by least squares once training has ended (R3 in docs/reference_results.md)."""

import torch
import torch.nn.functional as F
from torch import nn

from trainables.errors import ModelError
from trainables.loader import Loader

RIDGE_FRACTION = 1e-6
"""This part of the mean of the Gram matrix's diagonal is added to the diagonal: features that are always 0 would make
the matrix singular."""
MIN_RIDGE = 1e-12
"""The least that is added to the diagonal."""
NO_LINEAR_LAYER = "refit_last_layer needs a model that ends in a linear layer"


@torch.no_grad()
def refit_last_layer(model: nn.Module, loader: Loader) -> None:
    """Replace the weights of the last linear layer by the least-squares solution for the one-hot labels.

    The solution is for the training images without augmentation, seen once with the model in evaluation mode.

    Raises:
        ModelError: the model does not end in a linear layer.
    """
    model.eval()
    n_classes = len(loader.split.data.classes)
    gram = targets = torch.zeros((), dtype=torch.float64, device=loader.device)
    for images, labels in loader.training_in_order():
        head, inputs = last_layer(model, images)
        features = inputs.double()
        if head.bias is not None:
            features = torch.cat([features, features.new_ones(len(features), 1)], 1)
        gram = gram + features.T @ features
        targets = targets + features.T @ F.one_hot(labels, n_classes).double()
    gram.diagonal().add_((RIDGE_FRACTION * gram.diagonal().mean()).clamp_min(MIN_RIDGE))
    solution = torch.linalg.solve(gram, targets).T
    head.weight.copy_(solution[:, : head.in_features])
    if head.bias is not None:
        head.bias.copy_(solution[:, -1])


def last_layer(model: nn.Module, images: torch.Tensor) -> tuple[nn.Linear, torch.Tensor]:
    """Find the linear layer whose outputs are those of the model.

    Args:
        model: the network.
        images: float [B, C, H, W].

    Returns:
        The layer, and its input for these images: float [B, features].

    Raises:
        ModelError: the model does not end in a linear layer.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ModelError(NO_LINEAR_LAYER)
    seen: list[torch.Tensor] = []
    handle = layers[-1].register_forward_hook(lambda _, args, output: seen.extend([args[0], output]))
    try:
        outputs = model(images)
    finally:
        handle.remove()
    if len(seen) != 2 or not torch.equal(seen[1], outputs):
        raise ModelError(NO_LINEAR_LAYER)
    return layers[-1], seen[0]
