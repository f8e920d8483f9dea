"""Whether the models of a search can be built for the images, found out before any trial begins."""

from typing import Any

from search.errors import Problem
from search.spec import Spec
from trainables.config import FIELDS
from trainables.data import ImageData


def problems(spec: Spec, data: ImageData) -> list[Problem]:
    """Build each model with its constants, and with each value of each option that the search may give it.

    Pretrained weights are read, or downloaded, if the search asks for them: once, before the workers do.
    """
    from trainables import network
    from trainables.errors import ModelError

    channels, height, width = data.input_shape
    shapes = {(channels, size or height, size or width): size for size in spec.space.possible("resize")}
    found: dict[str, Problem] = {}
    for model in spec.models:
        taken = network.option_names(model)
        constants = {key: value for key, value in spec.space.fixed(model).items() if key not in FIELDS}
        searched = [p.key for p in spec.space.parameters if p.key in taken]
        variants = [{}, *({key: value} for key in searched for value in spec.space.possible(key))]
        for shape in shapes:
            for variant in variants:
                try:
                    _try(model, shape, len(data.classes), constants | variant)
                except ModelError as error:
                    found.setdefault(str(error), Problem(_key(spec, str(error), constants | variant), str(error)))
    return list(found.values())


def _try(model: str, shape: tuple[int, int, int], num_classes: int, options: dict[str, Any]) -> None:
    """Build a network, and let two images through it.

    On torch's meta device it would take no memory, but 7 s: meta kernels import torch._dynamo.

    Raises:
        ModelError: it cannot be built, or does not give a score for each class.
    """
    import torch

    from trainables import network
    from trainables.errors import ModelError

    built = network.build(model, shape, num_classes, options)
    what = f"{model} on images of {shape[2]}x{shape[1]}"
    try:
        with torch.no_grad():
            scores = built.eval()(torch.zeros(2, *shape)).shape
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise ModelError(f"{what}: {str(error).splitlines()[0]}; another size can be had with resize") from error
    if scores != (2, num_classes):
        raise ModelError(f"{what} gives {tuple(scores)} for two images, not (2, {num_classes})")


def _key(spec: Spec, text: str, options: dict) -> str:
    """The option that the message begins with, or the model."""
    option = next((f"space.{key}" for key in options if text.startswith(key)), None)
    return option or ("space.model" if "space.model" in spec.lines else "model")
