"""Whether the models of a search can be built for the images, found out before any trial begins."""

from search.errors import Problem
from search.spec import Spec
from trainables.config import FIELDS, TrainConfig
from trainables.data import ImageData


def problems(spec: Spec, data: ImageData) -> list[Problem]:
    """Build each model with its defaults and with each value of each option that the search may give it."""
    import torch

    from trainables.errors import ModelError
    from trainables.state import TrainState

    searched = {**spec.space.constants, **{p.key: None for p in spec.space.parameters}}
    options = [key for key in searched if key not in FIELDS]
    variants = [{}, *({key: value} for key in options for value in spec.space.possible(key))]
    found: dict[str, Problem] = {}
    for model in spec.models:
        for variant in variants:
            try:
                config = TrainConfig(model=model, model_options=variant)
                with torch.device("meta"):
                    TrainState.create(config, data.input_shape, len(data.classes), torch.device("meta"))
            except ModelError as error:
                key = f"space.{next(iter(variant))}" if variant else "model"
                found.setdefault(str(error), Problem(key, str(error)))
    return list(found.values())
