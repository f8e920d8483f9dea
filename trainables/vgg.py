"""VGG with batch normalisation (Simonyan & Zisserman 2015, table 1), as it is trained on 32 x 32 images."""

from collections.abc import Callable

from torch import nn

from trainables.errors import check_choice, check_size

DEPTHS = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    19: ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512)),
}
"""By the number of layers, the channels of the 3x3 convolutions, in groups that each end in a pooling."""
CLASSIFIERS = ("hidden", "linear")
HIDDEN_UNITS = 512
MIN_PIXELS = 32
"""Pixels that each side of an image must have: each of the five poolings halves it."""


def builder(depth: int) -> Callable[..., nn.Module]:
    """Make the `build` function of the network with `depth` layers."""

    def build(
        input_shape: tuple[int, int, int], num_classes: int, *, classifier: str = "hidden", dropout: float = 0.2
    ) -> nn.Module:
        """Build the network: convolutions begin Xavier-normal, linear layers as N(0, 0.01), biases as 0.

        Args:
            input_shape: (channels, height, width), 32 x 32 at least.
            num_classes: outputs of the network.
            classifier: `hidden`, two layers of 512 with ReLU and dropout before the classes; or `linear`, a
                single layer.
            dropout: part of the hidden units that is dropped in training.

        Raises:
            ModelError: the images are too small, or the classifier is unknown.
        """
        channels, height, width = input_shape
        check_size(f"vgg{depth}", input_shape, MIN_PIXELS)
        check_choice("classifier", classifier, CLASSIFIERS)
        features = 512 * (height // 32) * (width // 32)
        model = nn.Sequential(
            *_features(channels, DEPTHS[depth]), nn.Flatten(1), *_classifier(features, num_classes, classifier, dropout)
        )
        model.apply(_initialise)
        return model

    return build


def _features(channels: int, groups: tuple[tuple[int, ...], ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for group in groups:
        for width in group:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return layers


def _classifier(features: int, num_classes: int, classifier: str, dropout: float) -> list[nn.Module]:
    if classifier == "linear":
        return [nn.Linear(features, num_classes)]
    layers: list[nn.Module] = []
    for units in (features, HIDDEN_UNITS):
        layers += [nn.Linear(units, HIDDEN_UNITS), nn.ReLU(), nn.Dropout(dropout)]
    return [*layers, nn.Linear(HIDDEN_UNITS, num_classes)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
