"""The network of PyTorch's CIFAR-10 tutorial: two 5x5 convolutions, three linear layers. 62,006 parameters."""

from torch import nn

from trainables.models import lenet


def build(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Build conv 6@5x5, pool 2, conv 16@5x5, pool 2, then 120, 84 and the classes: the layers of `lenet`.

    Raises:
        ModelError: the images are smaller than 16 x 16.
    """
    return lenet.build(input_shape, num_classes)
