"""A multilayer perceptron with the parts that the handwritten-digits studies vary (R3 in docs/reference_results.md)."""

import math
from collections.abc import Callable

from torch import nn

from trainables.errors import ModelError, check_choice, check_least

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
INITIALISATIONS: dict[str, Callable[[int, int], float]] = {
    "he": lambda n_in, n_out: math.sqrt(2 / n_in),
    "normal": lambda n_in, n_out: 1.0,
    "xavier": lambda n_in, n_out: math.sqrt(2 / (n_in + n_out)),
}
"""Standard deviation of the weights, by the units that a layer takes in and gives out: He et al. 2015, plain
N(0, 1), Glorot & Bengio 2010."""


def build(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: int = 1,
    width: int = 100,
    taper: float = 1.0,
    activation: str = "tanh",
    dropout: float = 0.0,
    bias: bool = True,
    initialisation: str = "xavier",
    convolution: int = 0,
) -> nn.Module:
    """Hidden layers of one activation, then the classes; biases begin at 0.

    Args:
        depth: hidden layers; 0 is logistic regression.
        width: units of the first hidden layer.
        taper: how many times as wide each further one is.
        activation: relu, sigmoid or tanh.
        dropout: part of the hidden units that is dropped in training.
        bias: whether layers have one.
        initialisation: of the weights: normal (N(0, 1)), xavier or he.
        convolution: channels of a 5x5 convolution before the hidden layers, with the same activation; 0: none.

    Raises:
        ModelError: an option is out of bounds.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("initialisation", initialisation, INITIALISATIONS)
    check_least("depth", depth, 0)
    check_least("width", width, 1)
    check_least("convolution", convolution, 0)
    if taper <= 0:
        raise ModelError(f"taper must be above 0, not {taper:g}")
    channels, height, columns = input_shape
    layers: list[nn.Module] = []
    if convolution:
        layers += [nn.Conv2d(channels, convolution, 5, padding=2, bias=bias), ACTIVATIONS[activation]()]
        channels = convolution
    layers.append(nn.Flatten(1))
    units = channels * height * columns
    for i in range(depth):
        hidden = max(1, round(width * taper**i))
        layers += [nn.Linear(units, hidden, bias=bias), ACTIVATIONS[activation](), nn.Dropout(dropout)]
        units = hidden
    model = nn.Sequential(*layers, nn.Linear(units, num_classes, bias=bias))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_out, fan_in = module.weight.flatten(1).shape
            fan_out *= module.weight[0, 0].numel()
            nn.init.normal_(module.weight, std=INITIALISATIONS[initialisation](fan_in, fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
