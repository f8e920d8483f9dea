"""A shallow residual network for 32 x 32 images: one basic block in each stage. 4,903,242 parameters on CIFAR-10."""

from torch import nn

from trainables.torch_private import residual_network


def build(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Build conv 64@3x3, batch norm, max pool 3x3 stride 2, four stages of 64 to 512 channels, average pool, linear.

    The stages are those of He et al. 2016, each but the first at half the resolution of the one before.
    """
    model: nn.Module = residual_network([1, 1, 1, 1], num_classes)
    model.conv1 = nn.Conv2d(input_shape[0], 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model
