"""A small network between LeNet and ResNet: two 3x3 convolutions with batch normalisation, two linear layers."""

from torch import nn

from trainables.errors import check_minimum, check_size


def build(
    input_shape: tuple[int, int, int], num_classes: int, *, width: int = 32, hidden: int = 128, dropout: float = 0.0
) -> nn.Module:
    """Build, twice, conv 3x3, batch norm, ReLU, max pool 2; then `hidden` units with ReLU, and the classes.

    Args:
        input_shape: (channels, height, width), 4 x 4 at least.
        num_classes: outputs of the network.
        width: channels of the first convolution; the second has twice as many.
        hidden: units of the hidden linear layer.
        dropout: part of the hidden units that is dropped in training.

    Raises:
        ModelError: the images are too small, or there would be no channels or no hidden units.
    """
    channels, height, columns = input_shape
    check_size("fashionnet", input_shape, 4)
    check_minimum("width", width, 1)
    check_minimum("hidden", hidden, 1)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(1),
        nn.Linear(2 * width * (height // 4) * (columns // 4), hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )
