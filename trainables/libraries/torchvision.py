"""Any classifier of torchvision: `model: torchvision/efficientnet_b0`."""

import inspect
from urllib.error import URLError

import torchvision.models as zoo
from torch import nn

from trainables import pretrained
from trainables.errors import ModelError
from trainables.folder import UnknownName, nearest


def check(classifier: str) -> None:
    """Raises: UnknownName: torchvision has no such classifier."""
    known = zoo.list_models(module=zoo)
    if classifier not in known:
        raise UnknownName(
            f"no {classifier!r} in torchvision{nearest(classifier, known)}; there is: {', '.join(sorted(known))}"
        )


def build(
    classifier: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    weights: str = pretrained.NONE,
    frozen: bool = False,
) -> nn.Module:
    """The network with a last layer for so many classes, and a first one for grey images where need be.

    Args:
        weights: none (random), imagenet (downloaded), or a file with a state dict.
        frozen: train the last layer alone.

    Raises:
        ModelError: the weights cannot be had, or do not fit; random ones would be frozen.
    """
    pretrained.check_options(weights, frozen)
    model = zoo.get_model(classifier, weights=None, **_arguments(classifier, input_shape))
    head = pretrained.replace_head(model, num_classes)
    if weights != pretrained.NONE:
        read = _downloaded(classifier) if weights == pretrained.IMAGENET else pretrained.read_weights(weights)
        pretrained.load_weights(model, read, head, classifier if weights == pretrained.IMAGENET else weights)
    pretrained.adapt_channels(model, input_shape[0])
    return pretrained.Frozen(model, head) if frozen else model


def _arguments(classifier: str, input_shape: tuple[int, int, int]) -> dict[str, object]:
    """What some of the builders need: no second output in training, the size of the images."""
    taken = inspect.signature(zoo.get_model_builder(classifier)).parameters
    arguments: dict[str, object] = {}
    if classifier in ("googlenet", "inception_v3"):
        arguments |= {"aux_logits": False, "init_weights": True}
    if classifier.startswith("vit_"):
        arguments["image_size"] = input_shape[1]
    return arguments if "kwargs" in taken else {}


def _downloaded(classifier: str) -> dict:
    try:
        return dict(zoo.get_model_weights(classifier).DEFAULT.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError) as error:
        raise pretrained.not_downloaded(f"torchvision/{classifier}", error) from error
    except (AttributeError, ValueError) as error:
        raise ModelError(f"weights: torchvision has none for {classifier} ({error}): use none or a file") from error
