import copy

import pytest
import torch
from made_data import weights
from torch import nn, optim

from trainables.config import OPTIMIZERS, TrainConfig
from trainables.optimizers import build, set_lr

torch.set_num_threads(1)
PLAIN = {"foreach": False, "fused": False}
CASES = {
    "adam": ({}, lambda p: optim.Adam(p, lr=0.01, **PLAIN)),
    "adam with an L2 penalty": ({"weight_decay": 0.3}, lambda p: optim.Adam(p, lr=0.01, weight_decay=0.3, **PLAIN)),
    "adamw": ({"weight_decay": 0.3}, lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.3, **PLAIN)),
    "adamw without decay": ({"weight_decay": 0.0}, lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.0, **PLAIN)),
    "sgd": ({}, lambda p: optim.SGD(p, lr=0.01, momentum=0.9, **PLAIN)),
    "sgd without momentum": ({"momentum": 0}, lambda p: optim.SGD(p, lr=0.01, **PLAIN)),
    "sgd with everything": (
        {"momentum": 0.7, "nesterov": True, "weight_decay": 0.3},
        lambda p: optim.SGD(p, lr=0.01, momentum=0.7, nesterov=True, weight_decay=0.3, **PLAIN),
    ),
}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def take_steps(model: nn.Module, optimizer: optim.Optimizer, n: int = 6) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    for _ in range(n):
        optimizer.zero_grad()
        model(torch.randn(8, 5, generator=random)).square().mean().backward()
        optimizer.step()
    return weights(model)


def test_every_optimizer_is_compared():
    assert {case.split()[0] for case in CASES} == set(OPTIMIZERS)


@pytest.mark.parametrize("case", CASES)
def test_an_optimizer_does_what_torch_s_plain_one_does(case):
    params, reference = CASES[case]
    ours, plain = net(), net()
    config = TrainConfig(optimizer=case.split()[0], lr=0.01, **params)
    result = take_steps(ours, build(ours, config))
    torch.testing.assert_close(result, take_steps(plain, reference(plain.parameters())), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(result, weights(net()), atol=1e-3)


def test_the_learning_rate_can_be_set():
    for lr, moves in ((0.0, False), (0.1, True)):
        model = net()
        before = copy.deepcopy(model.state_dict())
        optimizer = build(model, TrainConfig(optimizer="sgd", lr=0.5))
        set_lr(optimizer, lr)
        take_steps(model, optimizer, 1)
        assert torch.equal(before["0.weight"], model.state_dict()["0.weight"]) is not moves


def test_frozen_parameters_stay():
    model = net()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    take_steps(model, build(model, TrainConfig(optimizer="adamw", weight_decay=0.5, lr=0.1)))
    assert torch.equal(before["0.weight"], model.state_dict()["0.weight"])
    assert not torch.equal(before["2.weight"], model.state_dict()["2.weight"])
