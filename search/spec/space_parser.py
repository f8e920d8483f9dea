"""The `space` section of a spec, read into a `Space`."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from contract.formatting import nearest
from search.errors import Problem
from search.spec.space import Joint, Parameter, Scalar, Space, is_number, same

KINDS = ("choice", "grid", "int", "loguniform", "logint", "uniform")


LARGEST_INT = 2**53
"""Up to here samplers, which compute with floats, can tell whole numbers apart."""


def parse(entries: Mapping[str, Any]) -> tuple[Space, list[Problem]]:
    """Read the `space` section. What is wrong is returned, and what is right is in the space all the same."""
    constants: dict[str, Any] = {}
    parameters: list[Parameter] = []
    joint: list[Joint] = []
    problems: list[Problem] = []
    for key, entry in entries.items():
        if "," in key:
            together = _joint(key, entry, problems)
            if together is not None:
                joint.append(together)
                parameters += _columns(together, {*constants, *(p.key for p in parameters)}, key, problems)
            continue
        if any(key in together.keys for together in joint):
            problems.append(Problem(f"space.{key}", f"{key} is given twice in the space: remove one"))
        elif not isinstance(entry, dict):
            if isinstance(entry, list):
                problems.append(
                    Problem(f"space.{key}", "a list must say how it is searched: {choice: [...]} or {grid: [...]}")
                )
            elif not isinstance(entry, Scalar):
                problems.append(Problem(f"space.{key}", f"must be a number, a name, true or false, not {entry!r}"))
            else:
                constants[key] = entry
        elif (parameter := _parameter(key, entry, constants, parameters, problems)) is not None:
            parameters.append(parameter)
    return Space(constants, tuple(parameters), tuple(joint)), problems


def _joint(key: str, entry: Any, problems: list[Problem]) -> Joint | None:
    where, keys = f"space.{key}", tuple(name.strip() for name in key.split(","))
    rows = entry.get("grid") if isinstance(entry, dict) and set(entry) == {"grid"} else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        problems.append(Problem(where, "keys that are varied together need {grid: [[...], [...]]}, a list a row"))
        return None
    for number, row in enumerate(rows, 1):
        if len(row) != len(keys):
            problems.append(Problem(where, f"row {number} has {len(row)} values for {len(keys)} keys: {row!r}"))
            return None
    return Joint(keys, tuple(tuple(row) for row in rows))


def _columns(joint: Joint, known: set[str], where: str, problems: list[Problem]) -> list[Parameter]:
    """A parameter a key, with the distinct values of its column."""
    columns = []
    for key, column in zip(joint.keys, zip(*joint.rows, strict=True), strict=True):
        values: list[Any] = []
        for value in column:
            if not any(same(value, other) for other in values):
                values.append(value)
        distribution = _categorical(values)
        if key in known:
            problems.append(Problem(f"space.{where}", f"{key} is given twice in the space: remove one"))
        elif isinstance(distribution, str):
            problems.append(Problem(f"space.{where}", f"{key}: {distribution}"))
        else:
            columns.append(Parameter(key, "grid", distribution))
            known.add(key)
    return columns


def _parameter(
    key: str, entry: dict, constants: Mapping[str, Any], earlier: list[Parameter], problems: list[Problem]
) -> Parameter | None:
    where = f"space.{key}"
    unknown = [name for name in entry if name not in (*KINDS, "when")]
    problems += [
        Problem(
            where, f"unknown word {name!r}{nearest(str(name), [*KINDS, 'when'])}; there is: {', '.join(KINDS)}, when"
        )
        for name in unknown
    ]
    kinds = [name for name in entry if name in KINDS]
    if len(kinds) != 1 and not unknown:
        problems.append(Problem(where, f"needs exactly one of {', '.join(KINDS)}"))
    when = _when(where, entry.get("when", {}), constants, earlier, problems)
    if len(kinds) != 1:
        return None
    distribution = _distribution(kinds[0], entry[kinds[0]])
    if isinstance(distribution, str):
        problems.append(Problem(f"{where}.{kinds[0]}", distribution))
        return None
    return Parameter(key, kinds[0], distribution, when)


def _when(
    where: str, conditions: Any, constants: Mapping[str, Any], earlier: list[Parameter], problems: list[Problem]
) -> dict[str, tuple[Scalar, ...]]:
    if not isinstance(conditions, dict):
        problems.append(Problem(f"{where}.when", "must be a mapping such as {optimizer: sgd}"))
        return {}
    result: dict[str, tuple[Scalar, ...]] = {}
    known: dict[str, tuple[Scalar, ...] | None] = {name: (value,) for name, value in constants.items()}
    known |= {p.key: p.values for p in earlier}
    for name, wanted in conditions.items():
        allowed = tuple(wanted) if isinstance(wanted, list) else (wanted,)
        key = f"{where}.when.{name}"
        if name not in known:
            text = f"no key {name!r} stands before this one in the space{nearest(str(name), list(known))}"
            problems.append(Problem(key, f"{text}; earlier keys: {', '.join(known) or 'none'}"))
            continue
        possible = known[name]
        if possible is None:
            problems.append(
                Problem(key, f"{name} is a continuous range, which hardly ever meets a value: name a choice")
            )
        elif not allowed:
            problems.append(Problem(key, f"names no value: give one of {', '.join(map(str, possible))}"))
        elif never := [value for value in allowed if value not in possible]:
            text = f"{name} never is {never[0]!r}; its values: {', '.join(map(str, possible))}"
            problems.append(Problem(key, text))
        result[name] = allowed
    return result


def _distribution(kind: str, value: Any) -> BaseDistribution | str:
    """The Optuna distribution of an entry, or what is wrong with it."""
    if kind in ("choice", "grid"):
        return _categorical(value)
    numbers = isinstance(value, list) and len(value) == 2 and all(is_number(v) for v in value)
    if not numbers:
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
        if max(abs(low), abs(high)) > LARGEST_INT:
            return f"must be whole numbers from {-LARGEST_INT:,} to {LARGEST_INT:,}, not {value!r}"
        return IntDistribution(int(low), int(high), log=kind == "logint")
    return FloatDistribution(float(low), float(high), log=kind == "loguniform")


def _categorical(value: Any) -> BaseDistribution | str:
    if not isinstance(value, list) or not value:
        return f"must be a list of values, not {value!r}"
    odd = [v for v in value if not isinstance(v, Scalar)]
    if odd:
        return f"values must be numbers, names, true or false, not {odd[0]!r}"
    if len({(type(v), v) for v in value}) < len(value):
        return f"a value is given twice in {value!r}"
    return CategoricalDistribution(value)
