"""Whether the models of a search can be built for the images, found out before any trial begins."""

from typing import Any

from contract.formatting import first_line
from search.errors import Problem
from search.spec.spec import Spec
from trainables import named_model, own_code
from trainables.errors import ModelError
from trainables.image_data import ImageData


def problems(spec: Spec, data: ImageData) -> list[Problem]:
    """Build each model with its constants, and with each option that the search may give it, and report what fails.

    Pretrained weights are read, or downloaded, if the search asks for them: once, before the workers do.
    """
    channels, height, width = data.input_shape
    shapes = [(channels, size or height, size or width) for size in spec.space.ends("resize")]
    refitted = True in spec.space.ends("refit_last_layer")
    found: dict[str, Problem] = {}
    for model in spec.models:
        for shape in shapes:
            for options in _variants(spec, model):
                try:
                    _try(model, shape, len(data.classes), options, refitted)
                except ModelError as error:
                    found.setdefault(str(error), Problem(_key(spec, str(error), options), str(error)))
    return list(found.values())


def _variants(spec: Spec, model: str) -> list[dict[str, Any]]:
    """The options that a model is built with: its constants, alone and with each end of each range, conditions met."""
    taken = named_model.option_names(model)
    constants = {key: value for key, value in spec.space.constants.items() if key in taken}
    parameters = {p.key: p for p in spec.space.parameters}

    def needed(key: str) -> dict[str, Any]:
        """Values of other keys with which a parameter's conditions are met."""
        conditions = parameters[key].when.items() if key in parameters else ()
        return {k: v for name, allowed in conditions for k, v in (needed(name) | {name: allowed[0]}).items()}

    variants = [needed(key) | {key: value} for key in parameters if key in taken for value in spec.space.ends(key)]
    return [constants, *(constants | {k: v for k, v in variant.items() if k in taken} for variant in variants)]


def _try(model: str, shape: tuple[int, int, int], num_classes: int, options: dict[str, Any], refitted: bool) -> None:
    """Build a network, and pass two images through it.

    On torch's meta device this would take no memory, but 7 s: meta kernels import torch._dynamo.

    Raises:
        ModelError: it cannot be built, does not give a score for each class, or has no last layer to refit.
    """
    import torch

    from trainables.refit import last_layer

    built = named_model.build(model, shape, num_classes, options)
    what = f"{model} on images of {shape[2]}x{shape[1]}"
    try:
        with torch.no_grad():
            scores = built.eval()(torch.zeros(2, *shape)).shape
            if refitted:
                last_layer(built, torch.zeros(2, *shape))
    except ModelError as error:
        raise ModelError(f"{error}: {model} does not") from error
    except Exception as error:  # torch refuses an impossible size with many kinds; own code can raise anything
        if own_code.is_dotted(model):
            raise ModelError(f"{what}: {own_code.describe_error(error)}") from error
        raise ModelError(f"{what}: {first_line(error)}; resize gives it another size") from error
    if scores != (2, num_classes):
        raise ModelError(f"{what} gives {tuple(scores)} for two images, not (2, {num_classes})")


def _key(spec: Spec, text: str, options: dict[str, Any]) -> str:
    """The key to blame: the option that the message begins with, or the model."""
    option = next((f"space.{key}" for key in (*options, "refit_last_layer") if text.startswith(key)), None)
    return option or ("space.model" if "space.model" in spec.lines else "model")
