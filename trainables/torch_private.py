"""What is private or undocumented in torch's libraries, and is used all the same.

| what | why | what breaks without it |
|---|---|---|
| `checkpoint_filter_fn` in timm's modules of models | timm has no public way to fit a state dict to images of another size, or from the layout of the network's authors | a transformer's weights of another size of images are refused |
| `torchvision.models.resnet.BasicBlock` | ResNet-9 consists of torchvision's blocks, and the class is not among the names that the module exports | `model: resnet9` cannot be built |

`tests/trainables/test_torch_private.py` has a test for each row.
"""  # noqa: E501 (a table's rows are lines)

import sys
from typing import Any

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

TIMM_FILTER = "checkpoint_filter_fn"


def fit_timm_weights(weights: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Fit a state dict to a model of timm: its position embeddings to the size of the images, for example.

    Models whose module has no such function take the state dict as it is.
    """
    fit: Any = getattr(sys.modules[type(model).__module__], TIMM_FILTER, None)
    return dict(fit(weights, model)) if fit else weights


def residual_network(blocks: list[int], num_classes: int) -> ResNet:
    """Build a residual network of so many basic blocks in each of its four stages."""
    return ResNet(BasicBlock, blocks, num_classes)
