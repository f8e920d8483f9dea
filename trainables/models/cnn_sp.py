"""A CNN with stochastic pooling (Zhang et al. 2018, of tea leaves). 1,627,563 parameters on 256 x 256, 3 classes."""

from torch import nn

from trainables.errors import check_choice, check_size
from trainables.pooling import StochasticPool2d

POOLINGS = {"average": nn.AvgPool2d, "max": nn.MaxPool2d, "stochastic": StochasticPool2d}
CONVOLUTIONS = ((40, 3, 3, 1), (80, 5, 3, 0), (120, 3, 3, 1), (120, 3, 1, 1), (120, 3, 1, 1))
"""Channels, kernel size, stride, padding."""


def build(
    input_shape: tuple[int, int, int], num_classes: int, *, pooling: str = "stochastic", dropout: float = 0.1
) -> nn.Module:
    """Five convolutions, each with ReLU and a 3x3 pooling of stride 1; then 100 units, dropout, and the classes.

    Of 256 x 256 pixels 86, 28, and 10 a side are left after the first three convolutions.

    Args:
        input_shape: (channels, height, width), 13 x 13 at least.
        pooling: max, average or stochastic.
        dropout: of the 100 units.

    Raises:
        ModelError: the images are too small, or the pooling is unknown.
    """
    channels, height, width = input_shape
    check_size("cnn_sp", input_shape, 13)
    check_choice("pooling", pooling, POOLINGS)
    layers: list[nn.Module] = []
    for filters, kernel, stride, padding in CONVOLUTIONS:
        layers += [nn.Conv2d(channels, filters, kernel, stride, padding), nn.ReLU(), POOLINGS[pooling](3, 1, 1)]
        height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        channels = filters
    return nn.Sequential(
        *layers, nn.Flatten(1), nn.Linear(channels * height * width, 100), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(100, num_classes),
    )  # fmt: skip
