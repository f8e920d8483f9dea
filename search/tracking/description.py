"""What a search is, as JSON beside its runs: all that `analysis` must know of a spec to read the record."""

import json
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from contract.files import atomic_write
from search.spec.space import Parameter
from search.spec.spec import Spec
from search.trial.data_source import DataSource
from trainables.image_data import ImageData


def describe(spec: Spec, source: DataSource, data: ImageData, resources: str) -> dict[str, Any]:
    """The objective, the space, the rungs, the data set and how the figures come about.

    Args:
        spec: the search.
        source: its data set.
        data: the images.
        resources: what the search runs on, in words.
    """
    return {
        "name": spec.name,
        "objective": {"metric": spec.objective.metric, "maximize": spec.objective.maximize},
        "space": [_setting(parameter) for parameter in spec.space.parameters],
        "sampler": spec.sampler.name,
        "rungs": list(spec.scheduler.rungs),
        "max_epochs": spec.scheduler.max_epochs,
        "trials": spec.trials,
        "confirm": spec.confirm.model_dump() if spec.confirm else None,
        "data": source.content() | {"title": source.title, "classes": data.classes},
        "protocol": spec.protocol,
        "resources": resources,
    }


def write(description: dict[str, Any], file: Path) -> None:
    """Write a description to a file."""
    with atomic_write(file) as new:
        new.write_text(json.dumps(description, indent=1))


def _setting(parameter: Parameter) -> dict[str, Any]:
    d = parameter.distribution
    if isinstance(d, CategoricalDistribution):
        values: dict[str, Any] = {"choices": list(d.choices)}
    else:
        low, high = parameter.extremes
        values = {"low": low, "high": high, "log": parameter.log, "integer": isinstance(low, int)}
    return {"key": parameter.key, **values, "when": {k: list(v) for k, v in parameter.when.items()}}
