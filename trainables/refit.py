"""The last layer fitted anew by least squares once training has ended (R3 in docs/reference_results.md)."""

import torch
import torch.nn.functional as F
from torch import nn

from trainables.errors import ModelError
from trainables.loader import Loader

RIDGE = 1e-6
"""Of the mean of the Gram matrix's diagonal: features that are always 0 would make it singular."""


@torch.no_grad()
def refit_last_layer(model: nn.Module, loader: Loader) -> None:
    """Replace the weights of the last linear layer by the least-squares solution for the one-hot labels.

    It sees the training images once, not augmented, the model in evaluation mode.

    Raises:
        ModelError: the model does not end in a linear layer.
    """
    head, n_classes = last_linear(model), len(loader.split.data.classes)
    inputs: list[torch.Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    width = head.in_features + (head.bias is not None)
    gram = torch.zeros(width, width, dtype=torch.float64, device=loader.device)
    targets = torch.zeros(width, n_classes, dtype=torch.float64, device=loader.device)
    model.eval()
    try:
        for images, labels in loader.training_in_order():
            outputs = model(images)
            if outputs.shape[1] != head.out_features:
                raise ModelError("refit_last_layer needs a model that ends in a linear layer")
            features = inputs.pop().double()
            if head.bias is not None:
                features = torch.cat([features, features.new_ones(len(features), 1)], 1)
            gram += features.T @ features
            targets += features.T @ F.one_hot(labels, n_classes).double()
    finally:
        handle.remove()
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    solution = torch.linalg.solve(gram, targets).T
    head.weight.copy_(solution[:, : head.in_features])
    if head.bias is not None:
        head.bias.copy_(solution[:, -1])


def last_linear(model: nn.Module) -> nn.Linear:
    """The last linear layer in the order of the modules.

    Raises:
        ModelError: there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ModelError("refit_last_layer needs a model that ends in a linear layer")
    return layers[-1]
