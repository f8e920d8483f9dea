"""The search space: constants, parameters in the order of the file, conditions, and the grid."""

import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from trainables import named_model
from trainables.config import FIELDS

Scalar = str | int | float | bool | None
MOST_POINTS = 10_000
"""Of a grid, and of a range that is treated as a list of values."""


@dataclass(frozen=True)
class Parameter:
    """One searched hyperparameter."""

    key: str
    kind: str
    distribution: BaseDistribution
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """It exists only where each of these earlier keys has one of these values."""

    @property
    def log(self) -> bool:
        """Whether the range is searched on a logarithmic scale."""
        return getattr(self.distribution, "log", False)

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """The values at the ends of the range, or every choice."""
        d = self.distribution
        return d.choices if isinstance(d, CategoricalDistribution) else (d.low, d.high)  # type: ignore[attr-defined]

    @property
    def values(self) -> tuple[Scalar, ...] | None:
        """All values where they can be counted (and are not too many), else None."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices
        if isinstance(self.distribution, IntDistribution):
            numbers = range(self.distribution.low, self.distribution.high + 1)
            return tuple(numbers) if len(numbers) <= MOST_POINTS else None
        return None

    @property
    def middle(self) -> Scalar:
        """The middle of the range, on its scale; the first choice."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return d.choices[0]
        low, high = d.low, d.high  # type: ignore[attr-defined]
        return type(low)(math.sqrt(low * high) if self.log else (low + high) / 2)

    def holds(self, value: Scalar) -> bool:
        """Whether a value is one of its choices, or lies in its range."""
        if isinstance(self.distribution, CategoricalDistribution):
            return any(value == c and isinstance(value, bool) == isinstance(c, bool) for c in self.distribution.choices)
        low, high = self.extremes
        return is_number(value) and low <= value <= high  # type: ignore[operator]

    def describe(self) -> str:
        """As a person would write it: `1e-05 .. 0.1 (log)`."""
        if isinstance(self.distribution, CategoricalDistribution):
            text = ", ".join(map(str, self.distribution.choices)) + (" (grid)" if self.kind == "grid" else "")
        else:
            low, high = self.extremes
            text = f"{low:g} .. {high:g}" + (" (log)" if self.log else "")
        conditions = [f"{key} = {' or '.join(map(str, allowed))}" for key, allowed in self.when.items()]
        return text + (f", when {' and '.join(conditions)}" if conditions else "")


@dataclass(frozen=True)
class Joint:
    """Keys that are varied together: `lr, epochs: {grid: [[1e-3, 20], [1e-2, 30]]}`, the rows of somebody's table."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]

    def row_of(self, point: Mapping[str, Scalar]) -> int | None:
        """The first row that a point is in."""
        for number, row in enumerate(self.rows):
            if all(key in point and same(point[key], value) for key, value in zip(self.keys, row, strict=True)):
                return number
        return None


@dataclass(frozen=True)
class Space:
    """Constants and parameters. What a trial gets is a flat dict of the keys that exist for it."""

    constants: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    joint: tuple[Joint, ...] = ()
    """Each of its keys is a parameter too, with the values of its column."""

    @property
    def keys(self) -> list[str]:
        """All keys, the constant ones first."""
        return [*self.constants, *(p.key for p in self.parameters)]

    @property
    def grid(self) -> list[dict[str, Scalar]]:
        """Every combination of the `grid` keys, the last key fastest; one empty one without such keys."""
        return self._product([p for p in self.parameters if p.kind == "grid"])

    @property
    def too_many(self) -> str | None:
        """That `grid` would be too long to be made, and what to do."""
        return self._too_many([p for p in self.parameters if p.kind == "grid"])

    @property
    def too_many_products(self) -> str | None:
        """Likewise of `product`."""
        return self._too_many(list(self.parameters))

    @property
    def sampled(self) -> list[Parameter]:
        """The parameters that a sampler draws."""
        return [p for p in self.parameters if p.kind != "grid"]

    def possible(self, key: str) -> tuple[Any, ...]:
        """Every value that a hyperparameter may take, or the ends of its range; its default where it is not given."""
        parameter = next((p for p in self.parameters if p.key == key), None)
        if parameter is not None:
            return parameter.values or parameter.extremes
        return (self.constants.get(key, FIELDS[key].default if key in FIELDS else None),)

    def ends(self, key: str) -> tuple[Any, ...]:
        """Every choice of a hyperparameter, or both ends of its range; the one value that it has elsewhere."""
        parameter = next((p for p in self.parameters if p.key == key), None)
        return self.possible(key) if parameter is None else parameter.extremes

    def fixed(self, model: str) -> dict[str, Any]:
        """The constants that one model's runs have: hyperparameters, and options that this model takes."""
        taken = named_model.option_names(model)
        return {key: value for key, value in self.constants.items() if key in FIELDS or key in taken}

    def middle(self) -> dict[str, Any]:
        """One configuration: the middle of each range, the first of each choice and of the grid."""
        first = self.grid[0]
        middles = {p.key: p.middle for p in self.parameters}
        return self.suggest(lambda key, _: first.get(key, middles[key]))

    def product(self) -> list[dict[str, Scalar]]:
        """Every combination of all parameters, each of which must be countable; conditions left out keys."""
        return self._product(list(self.parameters))

    def suggest(self, suggest: Callable[[str, BaseDistribution], Scalar]) -> dict[str, Any]:
        """Draw a configuration: constants, then each parameter whose condition is met, in order.

        Args:
            suggest: draws a value of one distribution, such as `optuna.Trial._suggest`.
        """
        params = dict(self.constants)
        for parameter in self.parameters:
            if _met(parameter, params):
                params[parameter.key] = suggest(parameter.key, parameter.distribution)
        return params

    def _product(self, parameters: list[Parameter]) -> list[dict[str, Scalar]]:
        combinations: dict[tuple, dict[str, Scalar]] = {}
        for parts in itertools.product(*self._axes(parameters)):
            values = {key: value for part in parts for key, value in part.items()}
            point: dict[str, Scalar] = {}
            for parameter in parameters:
                if _met(parameter, {**self.constants, **point}):
                    point[parameter.key] = values[parameter.key]
            combinations.setdefault(tuple((key, type(value), value) for key, value in point.items()), point)
        return list(combinations.values())

    def _axes(self, parameters: list[Parameter]) -> list[list[dict[str, Scalar]]]:
        """What is crossed: rows of keys that are varied together, then the values of each other parameter."""
        together = {key for joint in self.joint for key in joint.keys}
        rows = [[dict(zip(joint.keys, row, strict=True)) for row in joint.rows] for joint in self.joint]
        return [*rows, *([{p.key: value} for value in p.values or ()] for p in parameters if p.key not in together)]

    def _too_many(self, parameters: list[Parameter]) -> str | None:
        points = math.prod(len(axis) for axis in self._axes(parameters))
        if points <= MOST_POINTS:
            return None
        return f"the grid has more than {MOST_POINTS:,} points: give its keys fewer values, or draw some with choice"


def same(one: Scalar, other: Scalar) -> bool:
    """Equality that tells true from 1."""
    return type(one) is type(other) and one == other


def _met(parameter: Parameter, params: Mapping[str, Any]) -> bool:
    return all(key in params and params[key] in allowed for key, allowed in parameter.when.items())


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
