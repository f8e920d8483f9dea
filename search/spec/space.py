"""The search space: constants, parameters in the order of the file, conditions, and the grid."""

import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from contract.metrics import is_number
from trainables import named_model
from trainables.config import FIELDS

Scalar = str | int | float | bool | None
Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
LISTS, RANGES = ("choice", "grid"), ("int", "loguniform", "logint", "uniform")
"""The ways to search a key: by the values that are listed, and by the ends of a range."""
KINDS = (*LISTS, *RANGES)
MAX_POINTS = 10_000
"""Points of a grid, and values of a range that is treated as a list of them."""


@dataclass(frozen=True)
class Parameter:
    """One searched hyperparameter."""

    key: str
    kind: str
    """The word that the spec uses for it, one of `KINDS`."""
    distribution: Distribution
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """The condition: a trial has this key only where each of these earlier keys has one of these values."""

    @property
    def log(self) -> bool:
        """Whether the range is searched on a logarithmic scale."""
        return bool(getattr(self.distribution, "log", False))

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """The values at the ends of the range, or every choice."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices
        return self.distribution.low, self.distribution.high

    @property
    def values(self) -> tuple[Scalar, ...] | None:
        """All values, where they can be counted and are at most `MAX_POINTS`, else None."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices
        if isinstance(self.distribution, IntDistribution):
            numbers = range(self.distribution.low, self.distribution.high + 1)
            return tuple(numbers) if len(numbers) <= MAX_POINTS else None
        return None

    @property
    def middle(self) -> Scalar:
        """The middle of the range, on its scale, or the first choice."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[0]
        low, high = self.distribution.low, self.distribution.high
        return type(low)(math.sqrt(low * high) if self.log else (low + high) / 2)

    def holds(self, value: Scalar) -> bool:
        """Whether a value is one of the choices, or lies in the range."""
        if isinstance(self.distribution, CategoricalDistribution):
            return any(value == c and isinstance(value, bool) == isinstance(c, bool) for c in self.distribution.choices)
        return is_finite_number(value) and self.distribution.low <= value <= self.distribution.high

    def describe(self) -> str:
        """The values and the condition, as a person would write them: `1e-05 .. 0.1 (log)`."""
        if isinstance(self.distribution, CategoricalDistribution):
            text = ", ".join(map(str, self.distribution.choices)) + (" (grid)" if self.kind == "grid" else "")
        else:
            text = f"{self.distribution.low:g} .. {self.distribution.high:g}" + (" (log)" if self.log else "")
        conditions = [f"{key} = {' or '.join(map(str, allowed))}" for key, allowed in self.when.items()]
        return text + (f", when {' and '.join(conditions)}" if conditions else "")


@dataclass(frozen=True)
class Joint:
    """Keys that are varied together: `lr, epochs: {grid: [[1e-3, 20], [1e-2, 30]]}`, the rows of somebody's table."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    """Each row has one value for each key."""


@dataclass(frozen=True)
class Space:
    """Constants and parameters. What a trial gets is a flat dict of the keys that exist for it."""

    constants: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    joint: tuple[Joint, ...] = ()
    """Keys that are varied together. Each of these keys is a parameter too, with the values of its column."""

    @property
    def keys(self) -> list[str]:
        """All keys, the constants first."""
        return [*self.constants, *(p.key for p in self.parameters)]

    @property
    def grid(self) -> list[dict[str, Scalar]]:
        """Every combination of the `grid` keys, the last key varying fastest; without such keys one that is empty."""
        return self._product([p for p in self.parameters if p.kind == "grid"])

    @property
    def grid_too_large(self) -> str | None:
        """The message about a `grid` of more than `MAX_POINTS` points; None where it has no more."""
        return self._too_large([p for p in self.parameters if p.kind == "grid"])

    @property
    def product_too_large(self) -> str | None:
        """The message about a `product` of more than `MAX_POINTS` points; None where it has no more."""
        return self._too_large(list(self.parameters))

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
        """Every choice of a hyperparameter, or both ends of its range; where it is not searched, its one value."""
        parameter = next((p for p in self.parameters if p.key == key), None)
        return self.possible(key) if parameter is None else parameter.extremes

    def fixed(self, model: str) -> dict[str, Any]:
        """The constants of one model's trials: hyperparameters, and the options that this model takes."""
        taken = named_model.option_names(model)
        return {key: value for key, value in self.constants.items() if key in FIELDS or key in taken}

    def middle(self) -> dict[str, Any]:
        """One configuration: the middle of each range, the first value of each choice and of the grid."""
        first = self.grid[0]
        middles = {p.key: p.middle for p in self.parameters}
        return self.suggest(lambda key, _: first.get(key, middles[key]))

    def product(self) -> list[dict[str, Scalar]]:
        """Every combination of all parameters, without keys whose condition is not met.

        Each parameter must have values that can be counted.
        """
        return self._product(list(self.parameters))

    def suggest(self, suggest: Callable[[str, Distribution], Scalar]) -> dict[str, Any]:
        """Draw a configuration: the constants, then each parameter whose condition is met, in order.

        Args:
            suggest: draws the value of a key from its distribution.
        """
        params = dict(self.constants)
        for parameter in self.parameters:
            if _met(parameter, params):
                params[parameter.key] = suggest(parameter.key, parameter.distribution)
        return params

    def _product(self, parameters: list[Parameter]) -> list[dict[str, Scalar]]:
        combinations: dict[tuple[Any, ...], dict[str, Scalar]] = {}
        for parts in itertools.product(*self._axes(parameters)):
            values = {key: value for part in parts for key, value in part.items()}
            point: dict[str, Scalar] = {}
            for parameter in parameters:
                if _met(parameter, {**self.constants, **point}):
                    point[parameter.key] = values[parameter.key]
            combinations.setdefault(tuple((key, type(value), value) for key, value in point.items()), point)
        return list(combinations.values())

    def _axes(self, parameters: list[Parameter]) -> list[list[dict[str, Scalar]]]:
        """The lists that are crossed: the rows of keys that are varied together, then each other parameter's values."""
        together = {key for joint in self.joint for key in joint.keys}
        rows = [[dict(zip(joint.keys, row, strict=True)) for row in joint.rows] for joint in self.joint]
        return [*rows, *([{p.key: value} for value in p.values or ()] for p in parameters if p.key not in together)]

    def _too_large(self, parameters: list[Parameter]) -> str | None:
        points = math.prod(len(axis) for axis in self._axes(parameters))
        if points <= MAX_POINTS:
            return None
        return f"the grid has more than {MAX_POINTS:,} points: give its keys fewer values, or draw some with choice"


def same(one: Scalar, other: Scalar) -> bool:
    """Whether two values are equal and of the same type: true is not 1."""
    return type(one) is type(other) and one == other


def _met(parameter: Parameter, params: Mapping[str, Any]) -> bool:
    return all(key in params and params[key] in allowed for key, allowed in parameter.when.items())


def is_finite_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number that a float can hold; true and false are none."""
    return is_number(value) and abs(value) <= sys.float_info.max
