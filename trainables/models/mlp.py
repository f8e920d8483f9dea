"""A multilayer perceptron with the parts that the handwritten-digits studies vary (R3 in docs/reference_results.md)."""

import math
from collections.abc import Callable
from itertools import pairwise

from torch import nn

from trainables.errors import ModelError, check_choice, check_minimum

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
INITIALISATIONS: dict[str, Callable[[int, int], float]] = {
    "he": lambda fan_in, _fan_out: math.sqrt(2 / fan_in),
    "normal": lambda _fan_in, _fan_out: 1.0,
    "xavier": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
}
"""The standard deviation of the weights of a layer, by the number of inputs and of outputs that a weight is shared
with: He et al. 2015, plain N(0, 1), Glorot & Bengio 2010."""


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
    """Build hidden layers of one activation, then the classes; biases begin at 0.

    Args:
        input_shape: (channels, height, width).
        num_classes: outputs of the network.
        depth: hidden layers; 0 is logistic regression.
        width: units of the first hidden layer.
        taper: how many times as wide as the one before each further layer is.
        activation: relu, sigmoid or tanh.
        dropout: part of the hidden units that is dropped in training.
        bias: whether layers have one.
        initialisation: how weights begin: normal (N(0, 1)), xavier or he.
        convolution: channels of a 5x5 convolution before the hidden layers, with the same activation; 0: none.

    Raises:
        ModelError: an option is out of bounds.
    """
    _check(depth, width, taper, activation, initialisation, convolution)
    channels, *size = input_shape
    layers: list[nn.Module] = [nn.Flatten(1)]
    if convolution:
        layers = [nn.Conv2d(channels, convolution, 5, padding=2, bias=bias), ACTIVATIONS[activation](), *layers]
    units = [(convolution or channels) * math.prod(size), *(max(1, round(width * taper**i)) for i in range(depth))]
    for inputs, outputs in pairwise(units):
        layers += [nn.Linear(inputs, outputs, bias=bias), ACTIVATIONS[activation](), nn.Dropout(dropout)]
    return _initialised(nn.Sequential(*layers, nn.Linear(units[-1], num_classes, bias=bias)), initialisation)


def fans(layer: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """Count the inputs that an output of a layer depends on, and the outputs that an input has an effect on.

    torch has these numbers in a private function (`nn.init._calculate_fan_in_and_fan_out`); the shape of the weight,
    [outputs, inputs, *kernel], gives them as well.
    """
    outputs, inputs, *kernel = layer.weight.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def _check(depth: int, width: int, taper: float, activation: str, initialisation: str, convolution: int) -> None:
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("initialisation", initialisation, INITIALISATIONS)
    check_minimum("depth", depth, 0)
    check_minimum("width", width, 1)
    check_minimum("convolution", convolution, 0)
    if taper <= 0:
        raise ModelError(f"taper must be above 0, not {taper:g}")


def _initialised(model: nn.Module, initialisation: str) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=INITIALISATIONS[initialisation](*fans(module)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
