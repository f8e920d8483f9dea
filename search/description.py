"""What a search is, as JSON beside its runs: all that `analysis` must know of a spec to read the record."""

import json
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from search.dataset import DataSource
from search.schedulers import rung_epochs
from search.space import Parameter
from search.spec import Spec
from search.summary import protocol
from trainables.data import ImageData

FILE = "search.json"


def describe(spec: Spec, source: DataSource, data: ImageData, resources: str) -> dict[str, Any]:
    """The objective, the space, the rungs, the data set and how the figures come about.

    Args:
        resources: what the search runs on, in words.
    """
    return {
        "name": spec.name,
        "objective": {"metric": spec.objective.metric, "maximize": spec.objective.maximize},
        "space": [_setting(parameter) for parameter in spec.space.parameters],
        "sampler": spec.sampler.name,
        "rungs": list(rungs(spec)),
        "max_epochs": spec.scheduler.max_epochs,
        "trials": spec.trials,
        "confirm": spec.confirm.model_dump() if spec.confirm else None,
        "data": source.content() | {"title": source.title, "classes": data.classes},
        "protocol": protocol(spec),
        "resources": resources,
    }


def write(description: dict[str, Any], folder: Path) -> Path:
    """Write it to the search's folder."""
    path = folder / FILE
    path.write_text(json.dumps(description, indent=1))
    return path


def rungs(spec: Spec) -> tuple[int, ...]:
    """The epochs after which trials are compared and stopped."""
    s = spec.scheduler
    return rung_epochs(s.grace_period, s.reduction_factor, s.max_epochs) if s.name == "asha" else ()


def _setting(parameter: Parameter) -> dict[str, Any]:
    d = parameter.distribution
    if isinstance(d, CategoricalDistribution):
        values: dict[str, Any] = {"choices": list(d.choices)}
    else:
        low, high = parameter.extremes
        values = {"low": low, "high": high, "log": parameter.log, "integer": isinstance(low, int)}
    return {"key": parameter.key, **values, "when": {k: list(v) for k, v in parameter.when.items()}}
