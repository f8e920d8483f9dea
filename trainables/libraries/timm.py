"""Any classifier of timm: `model: timm/convnext_tiny`."""

from typing import Any

from torch import nn

from contract.formatting import first_line, nearest
from trainables import pretrained
from trainables.errors import ModelError
from trainables.module_folder import UnknownName
from trainables.torch_private import fit_timm_weights


def check(classifier: str) -> None:
    """Refuse a name that timm does not have.

    Raises:
        UnknownName: timm has no such classifier, or is not installed.
    """
    timm = _timm()
    if not timm.is_model(classifier.partition(".")[0]):
        close = nearest(classifier, timm.list_models())
        raise UnknownName(f"no {classifier!r} in timm{close}; timm.list_models('resnet*') lists its names")
    try:
        timm.get_pretrained_cfg(classifier, allow_unregistered=False)
    except RuntimeError as error:
        network = classifier.partition(".")[0]
        raise UnknownName(f"{error}; timm.list_pretrained('{network}*') lists its weights") from error


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
        weights: none (random), imagenet (what timm has pretrained, downloaded), or a file with a state dict.
        frozen: whether the last layer alone is trained.

    Raises:
        ModelError: the weights are not there or do not fit, or random ones would be frozen.
    """
    timm = _timm()
    pretrained.check_options(weights, frozen)
    arguments: dict[str, Any] = {"in_chans": input_shape[0], "num_classes": num_classes}
    known = timm.get_pretrained_cfg(classifier)
    if known is not None and known.fixed_input_size:
        arguments["img_size"] = input_shape[1:]
    try:
        model = timm.create_model(classifier, pretrained=weights == pretrained.IMAGENET, **arguments)
    except Exception as error:  # of the hub, or of a size of images that the network cannot have
        if weights == pretrained.IMAGENET:
            raise pretrained.download_error(f"timm/{classifier}", error) from error
        shape = "x".join(map(str, input_shape[1:]))
        raise ModelError(f"timm/{classifier} cannot be built for images of {shape} ({first_line(error)})") from error
    heads = _heads(model)
    if weights not in (pretrained.NONE, pretrained.IMAGENET):
        pretrained.load_weights(model, fit_timm_weights(pretrained.read_weights(weights), model), heads, weights)
    return pretrained.Frozen(model, heads) if frozen else model


def _heads(model: Any) -> tuple[str, ...]:
    """Name the last layers: distilled networks have two."""
    found = model.get_classifier()
    last = found if isinstance(found, tuple) else (found,)
    return tuple(name for name, module in model.named_modules() if any(module is one for one in last))


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UnknownName("timm is not installed: pip install timm") from error
    return timm
