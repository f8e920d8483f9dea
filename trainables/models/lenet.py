"""LeNet-5 (LeCun et al. 1998) as it is trained today: ReLU, max pooling, softmax. 62,006 parameters on CIFAR-10."""

import torch.nn as nn

from trainables.errors import check_choice, check_size

POOLINGS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def build(
    input_shape: tuple[int, int, int], num_classes: int, *, pooling: str = "max", activation: str = "relu"
) -> nn.Module:
    """Build conv 6@5x5, pool 2, conv 16@5x5, pool 2, then fully connected 120, 84 and `num_classes`.

    Args:
        input_shape: (channels, height, width), 16 x 16 at least.
        num_classes: outputs of the network.
        pooling: max, or average as in the original.
        activation: relu, or tanh as in the original.

    Raises:
        ModelError: the images are too small, or an option is unknown.
    """
    channels, height, width = input_shape
    check_size("lenet", input_shape, 16)
    check_choice("pooling", pooling, POOLINGS)
    check_choice("activation", activation, ACTIVATIONS)
    pool, act = POOLINGS[pooling], ACTIVATIONS[activation]
    rows, columns = (((size - 4) // 2 - 4) // 2 for size in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5),
        act(),
        pool(2),
        nn.Conv2d(6, 16, 5),
        act(),
        pool(2),
        nn.Flatten(1),
        nn.Linear(16 * rows * columns, 120),
        act(),
        nn.Linear(120, 84),
        act(),
        nn.Linear(84, num_classes),
    )
