"""Any classifier of torchvision: `model: torchvision/efficientnet_b0`."""

from pathlib import Path
from urllib.error import URLError

import torch
import torchvision.models as zoo
from torch import nn

from contract.formatting import nearest
from trainables import pretrained
from trainables.errors import ModelError
from trainables.module_folder import UnknownName


def check(classifier: str) -> None:
    """Refuse a name that torchvision does not have.

    Raises:
        UnknownName: torchvision has no such classifier.
    """
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
    """Build a classifier with a last layer for so many classes, and a first one for the channels of the images.

    Args:
        classifier: its name in the library.
        input_shape: (channels, height, width).
        num_classes: outputs of the network.
        weights: none (random), imagenet (downloaded), or a file with a state dict.
        frozen: whether the last layer alone is trained.

    Raises:
        ModelError: the weights are not there or do not fit, or random ones would be frozen.
    """
    pretrained.check_options(weights, frozen)
    arguments = _arguments(classifier, input_shape, imagenet=weights == pretrained.IMAGENET)
    model: nn.Module = zoo.get_model(classifier, weights=None, **arguments)
    head = pretrained.replace_head(model, num_classes)
    pretrained.set_channels(model, input_shape[0])
    if weights == pretrained.IMAGENET:
        pretrained.load_weights(model, _downloaded(classifier), (head,), classifier)
    elif weights != pretrained.NONE:
        pretrained.load_weights(model, pretrained.read_weights(weights), (head,), weights)
    return pretrained.Frozen(model, (head,)) if frozen else model


def _arguments(classifier: str, input_shape: tuple[int, int, int], *, imagenet: bool) -> dict[str, object]:
    """Return what some of the builders need: no second output in training, or the size of the images."""
    if classifier in ("googlenet", "inception_v3"):
        # torchvision's weights of these were trained on images that were normalised in another way.
        return {"aux_logits": False, "init_weights": True, "transform_input": imagenet}
    return {"image_size": input_shape[1]} if classifier.startswith("vit_") else {}


def _downloaded(classifier: str) -> dict[str, torch.Tensor]:
    try:
        entry = zoo.get_model_weights(classifier).DEFAULT
    except (AttributeError, ValueError) as error:
        raise ModelError(f"weights: torchvision has none for {classifier}: use none, or a file") from error
    try:
        return dict(entry.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (URLError, OSError) as error:
        raise pretrained.download_error(f"torchvision/{classifier}", error) from error
    except Exception as error:  # a damaged file can raise nearly anything
        place = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]
        raise ModelError(f"weights: what was downloaded of {classifier} is damaged: remove {place}") from error
