"""Optimizers, one function each, by the names of `TrainConfig.optimizer`.

`fused` runs the whole update as one kernel, on the CPU too; the figures are those of the plain loops to rounding.
"""

from collections.abc import Iterable

import torch
from torch import nn, optim

from trainables.config import TrainConfig


def sgd(params: Iterable[nn.Parameter], config: TrainConfig) -> optim.Optimizer:
    """Build stochastic gradient descent with (Nesterov) momentum and an L2 penalty."""
    return optim.SGD(
        params,
        lr=config.lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True,
    )


def adam(params: Iterable[nn.Parameter], config: TrainConfig) -> optim.Optimizer:
    """Build Adam (Kingma & Ba 2015); its weight decay is an L2 penalty."""
    return optim.Adam(params, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def adamw(params: Iterable[nn.Parameter], config: TrainConfig) -> optim.Optimizer:
    """Build Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""
    return optim.AdamW(params, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def build(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """Build the optimizer that the configuration names, for the trainable parameters of a model."""
    make = {"adam": adam, "adamw": adamw, "sgd": sgd}[config.optimizer]
    return make([p for p in model.parameters() if p.requires_grad], config)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
