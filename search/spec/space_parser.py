"""The `space` section of a spec, read into a `Space`."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from contract.formatting import nearest
from search.errors import Problem
from search.spec.space import KINDS, LISTS, Distribution, Joint, Parameter, Scalar, Space, is_finite_number, same

MAX_INT = 2**53
"""The largest whole number of a range: samplers compute with floats, which cannot tell larger ones apart."""


def parse(entries: Mapping[str, Any]) -> tuple[Space, list[Problem]]:
    """Read the `space` section.

    Returns:
        The space, with whatever is right in it, and what is wrong.
    """
    parser = _Parser()
    for key, entry in entries.items():
        parser.add(key, entry)
    return Space(parser.constants, tuple(parser.parameters), tuple(parser.joint)), parser.problems


class _Parser:
    """What has been read of the section so far: an entry may refer to earlier ones."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {}
        self.parameters: list[Parameter] = []
        self.joint: list[Joint] = []
        self.problems: list[Problem] = []

    def add(self, key: str, entry: Any) -> None:
        """Read the next entry."""
        if "," in key:
            self._add_joint(key, entry)
        elif any(key in joint.keys for joint in self.joint):
            self._refuse(key, f"{key} is given twice in the space: remove one")
        elif isinstance(entry, dict):
            self._add_parameter(key, entry)
        elif isinstance(entry, list):
            self._refuse(key, "a list must say how it is searched: {choice: [...]} or {grid: [...]}")
        elif isinstance(entry, Scalar):
            self.constants[key] = entry
        else:
            self._refuse(key, f"must be a number, a name, true or false, not {entry!r}")

    def _refuse(self, place: str, text: str) -> None:
        self.problems.append(Problem(f"space.{place}", text))

    def _add_joint(self, key: str, entry: Any) -> None:
        """Read keys that are varied together: `lr, epochs: {grid: [[...], [...]]}`."""
        keys = tuple(name.strip() for name in key.split(","))
        rows = entry.get("grid") if isinstance(entry, dict) and set(entry) == {"grid"} else None
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
            self._refuse(key, "keys that are varied together need {grid: [[...], [...]]}, with a list for each row")
            return
        for number, row in enumerate(rows, 1):
            if len(row) != len(keys):
                self._refuse(key, f"row {number} has {len(row)} values for {len(keys)} keys: {row!r}")
                return
        joint = Joint(keys, tuple(tuple(row) for row in rows))
        self.joint.append(joint)
        for name, column in zip(keys, zip(*joint.rows, strict=True), strict=True):
            self._add_column(key, name, column)

    def _add_column(self, place: str, key: str, column: tuple[Any, ...]) -> None:
        """Add one of several keys that are varied together, as a parameter with the distinct values of its column."""
        distinct: list[Any] = []
        for value in column:
            if not any(same(value, other) for other in distinct):
                distinct.append(value)
        distribution = _categorical(distinct)
        if key in self.constants or any(key == p.key for p in self.parameters):
            self._refuse(place, f"{key} is given twice in the space: remove one")
        elif isinstance(distribution, str):
            self._refuse(place, f"{key}: {distribution}")
        else:
            self.parameters.append(Parameter(key, "grid", distribution))

    def _add_parameter(self, key: str, entry: dict[Any, Any]) -> None:
        words = (*KINDS, "when")
        unknown = [name for name in entry if name not in words]
        for name in unknown:
            self._refuse(key, f"unknown word {name!r}{nearest(str(name), words)}; there is: {', '.join(words)}")
        kinds = [name for name in entry if name in KINDS]
        if len(kinds) != 1 and not unknown:
            self._refuse(key, f"needs exactly one of {', '.join(KINDS)}")
        when = self._when(f"{key}.when", entry.get("when", {}))
        if len(kinds) != 1:
            return
        distribution = _distribution(kinds[0], entry[kinds[0]])
        if isinstance(distribution, str):
            self._refuse(f"{key}.{kinds[0]}", distribution)
        else:
            self.parameters.append(Parameter(key, kinds[0], distribution, when))

    def _when(self, place: str, conditions: Any) -> dict[str, tuple[Scalar, ...]]:
        """The conditions of a parameter: for each earlier key the values with which the parameter is searched."""
        if not isinstance(conditions, dict):
            self._refuse(place, "must be a mapping such as {optimizer: sgd}")
            return {}
        known: dict[str, tuple[Scalar, ...] | None] = {key: (value,) for key, value in self.constants.items()}
        known |= {p.key: p.values for p in self.parameters}
        result: dict[str, tuple[Scalar, ...]] = {}
        for key, wanted in conditions.items():
            if key not in known:
                text = f"no key {key!r} stands before this one in the space{nearest(str(key), known)}"
                self._refuse(f"{place}.{key}", f"{text}; earlier keys: {', '.join(known) or 'none'}")
                continue
            result[key] = tuple(wanted) if isinstance(wanted, list) else (wanted,)
            never = _never_met(key, result[key], known[key])
            if never is not None:
                self._refuse(f"{place}.{key}", never)
        return result


def _never_met(key: str, allowed: tuple[Any, ...], possible: tuple[Scalar, ...] | None) -> str | None:
    """Why a key cannot take, or will hardly ever take, the values that a condition asks for; None if it can."""
    if possible is None:
        return f"{key} is a continuous range, which hardly ever meets a value: name a choice"
    listed = ", ".join(map(str, possible))
    if not allowed:
        return f"names no value: give one of {listed}"
    never = [value for value in allowed if value not in possible]
    return f"{key} never is {never[0]!r}; its values: {listed}" if never else None


def _distribution(kind: str, value: Any) -> Distribution | str:
    """The Optuna distribution of an entry, or what is wrong with it."""
    if kind in LISTS:
        return _categorical(value)
    if not isinstance(value, list) or len(value) != 2 or not all(is_finite_number(v) for v in value):
        return f"must be [low, high], two numbers, not {value!r}"
    low, high = value
    if low == high:
        return f"the range [{low:g}, {high:g}] is empty: for a constant write just {low:g}"
    if low > high:
        return f"the range [{low:g}, {high:g}] is upside down: write [{high:g}, {low:g}]"
    if kind.startswith("log") and low <= 0:
        return f"a logarithmic range must begin above 0, not at {low:g}"
    if kind in ("int", "logint"):
        if int(low) != low or int(high) != high:
            return f"must be whole numbers, not {value!r}"
        if max(abs(low), abs(high)) > MAX_INT:
            return f"must be whole numbers from {-MAX_INT:,} to {MAX_INT:,}, not {value!r}"
        return IntDistribution(int(low), int(high), log=kind == "logint")
    return FloatDistribution(float(low), float(high), log=kind == "loguniform")


def _categorical(value: Any) -> CategoricalDistribution | str:
    if not isinstance(value, list) or not value:
        return f"must be a list of values, not {value!r}"
    if odd := [v for v in value if not isinstance(v, Scalar)]:
        return f"values must be numbers, names, true or false, not {odd[0]!r}"
    if len({(type(v), v) for v in value}) < len(value):
        return f"a value is given twice in {value!r}"
    return CategoricalDistribution(value)
