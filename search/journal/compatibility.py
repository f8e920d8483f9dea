"""Which earlier trials a space still holds, after a resume changed it."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from contract.events import SEARCH
from search.journal.records import TrialRecord
from search.spec.space import Space
from search.spec.spec import Spec
from trainables.config import ConfigError, TrainConfig


def plan(spec: Spec) -> list[dict[str, Any]]:
    """What is fixed of the trials, in turn: each grid point, or whole configurations for the grid sampler."""
    return spec.space.product() if spec.sampler.name == "grid" else spec.space.grid


def fitted(space: Space, points: list[dict[str, Any]], params: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
    """Where a trial would stand in a space: its point's index, and its value of each parameter; None if nowhere.

    Args:
        space: the one that the search has now.
        points: the `plan` of the space.
        params: every hyperparameter in effect, as the journal has it.
    """
    for index, point in enumerate(points):
        if any(key in params and params[key] != value for key, value in point.items()):
            continue
        drawn: dict[str, Any] = {}

        def draw(key: str, _: Any, point: dict[str, Any] = point, drawn: dict[str, Any] = drawn) -> Any:
            drawn[key] = point[key] if key in point else params.get(key)
            return drawn[key]

        config = space.suggest(draw)
        if not all(p.holds(drawn[p.key]) for p in space.parameters if p.key in drawn):
            continue
        with contextlib.suppress(ConfigError):
            if TrainConfig.from_params(config).in_effect() == params:
                return index, drawn
    return None


def drawn(space: Space, params: Mapping[str, Any]) -> set[str]:
    """The parameters that a trial with these settings has in this space, where the settings are known."""
    keys: set[str] = set()

    def draw(key: str, _: Any) -> Any:
        if key in params:
            keys.add(key)
        return params.get(key)

    space.suggest(draw)
    return keys


def outside(spec: Spec, records: Iterable[TrialRecord]) -> set[str]:
    """The ids of the trials that do not fit the spec's space; a confirmation goes with the trial that it confirms."""
    records, points = list(records), plan(spec)
    searched = (r for r in records if r.phase == SEARCH)
    numbers = {r.number for r in searched if fitted(spec.space, points, r.params) is None}
    return {r.id for r in records if r.number in numbers}
