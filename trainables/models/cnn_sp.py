"""A CNN with stochastic pooling (Zhang et al. 2018, for tea leaves). 1,627,563 parameters on 256 x 256, 3 classes."""

from torch import nn

from trainables.errors import check_choice, check_size
from trainables.pooling import StochasticPool2d

POOLINGS = {"average": nn.AvgPool2d, "max": nn.MaxPool2d, "stochastic": StochasticPool2d}
MIN_PIXELS = 13
"""Pixels that each side of an image must have, for something to be left after the convolutions."""
CONVOLUTIONS = ((40, 3, 3, 1), (80, 5, 3, 0), (120, 3, 3, 1), (120, 3, 1, 1), (120, 3, 1, 1))
"""Channels, kernel size, stride and padding of each convolution."""


def build(
    input_shape: tuple[int, int, int], num_classes: int, *, pooling: str = "stochastic", dropout: float = 0.1
) -> nn.Module:
    """Build five convolutions, each with ReLU and a 3x3 pooling of stride 1; then 100 units, dropout, and the classes.

    The first three convolutions bring 256 x 256 pixels to 86, 28 and 10 a side.

    Args:
        input_shape: (channels, height, width), 13 x 13 at least.
        num_classes: outputs of the network.
        pooling: max, average or stochastic.
        dropout: part of the 100 units that is dropped in training.

    Raises:
        ModelError: the images are too small, or the pooling is unknown.
    """
    channels, height, width = input_shape
    check_size("cnn_sp", input_shape, MIN_PIXELS)
    check_choice("pooling", pooling, POOLINGS)
    layers: list[nn.Module] = []
    for filters, kernel, stride, padding in CONVOLUTIONS:
        layers += [nn.Conv2d(channels, filters, kernel, stride, padding), nn.ReLU(), POOLINGS[pooling](3, 1, 1)]
        height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        channels = filters
    layers += [nn.Flatten(1), nn.Linear(channels * height * width, 100), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(100, num_classes))
