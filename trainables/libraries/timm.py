"""Any classifier of timm: `model: timm/convnext_tiny`."""

from typing import Any

from torch import nn

from trainables import pretrained
from trainables.errors import ModelError
from trainables.folder import UnknownName, nearest


def check(classifier: str) -> None:
    """Raises: UnknownName: timm has no such classifier, or is not installed."""
    timm = _timm()
    if not timm.is_model(classifier.partition(".")[0]):
        close = nearest(classifier, timm.list_models())
        raise UnknownName(f"no {classifier!r} in timm{close}; timm.list_models('resnet*') lists what there is")


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
        weights: none (random), imagenet (what timm has pretrained, downloaded), or a file with a state dict.
        frozen: train the last layer alone.

    Raises:
        ModelError: the weights cannot be had, or do not fit; random ones would be frozen.
    """
    timm = _timm()
    pretrained.check_options(weights, frozen)
    arguments: dict[str, Any] = {"in_chans": input_shape[0], "num_classes": num_classes}
    known = timm.get_pretrained_cfg(classifier)
    if known is not None and known.fixed_input_size:
        arguments["img_size"] = input_shape[1:]
    if weights not in (pretrained.NONE, pretrained.IMAGENET):
        arguments["pretrained_cfg_overlay"] = {"file": weights}
    try:
        model = timm.create_model(classifier, pretrained=weights != pretrained.NONE, **arguments)
    except Exception as error:  # of the hub, the file, or a size of images that the network cannot have
        if weights == pretrained.IMAGENET:
            raise pretrained.not_downloaded(f"timm/{classifier}", error) from error
        place = f" with weights of {weights}" if weights != pretrained.NONE else ""
        shape = "x".join(map(str, input_shape[1:]))
        raise ModelError(
            f"timm/{classifier}{place} cannot be built for images of {shape} ({pretrained.first_line(error)})"
        ) from error
    return pretrained.Frozen(model, _head(model)) if frozen else model


def _head(model: Any) -> str:
    classifier = model.get_classifier()
    return next(name for name, module in model.named_modules() if module is classifier)


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UnknownName("timm is not installed: pip install timm") from error
    return timm
