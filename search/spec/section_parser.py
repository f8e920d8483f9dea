"""The sections of a spec except `space`, read into their classes; mistakes are said in the words of a spec."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contract.formatting import nearest
from search.errors import Problem
from search.spec.schema import SECTIONS, ResourcesSpec, Section, ShareSpec

REWORDED = {
    "Value error, ": "",
    "Input should be ": "",
    "a valid integer": "a whole number",
    "a valid ": "a ",
}
"""Words of pydantic's messages, and what replaces them, in this order."""


def parse(content: Mapping[str, Any]) -> tuple[dict[str, Section | None], dict[str, ShareSpec], list[Problem]]:
    """Read the sections of a spec.

    Returns:
        The sections by name, None where one is wrong or left out by `confirm: null`; the resources of the models that
        have a key of their own there; and what is wrong.
    """
    problems: list[Problem] = []
    by_model: dict[str, ShareSpec] = {}
    sections: dict[str, Section | None] = {}
    for name, kind in SECTIONS.items():
        value = content.get(name, {})
        if name == "resources":
            sections[name], by_model = _resources(value, problems)
        else:
            sections[name] = None if name == "confirm" and value is None else _section(name, kind, value, problems)
    return sections, by_model, problems


def _resources(content: Any, problems: list[Problem]) -> tuple[Section | None, dict[str, ShareSpec]]:
    """Read the section, and what the models are given that have a key of their own in it."""
    if not isinstance(content, dict):
        return _section("resources", ResourcesSpec, content, problems), {}
    mappings = {str(key): value for key, value in content.items() if isinstance(value, dict)}
    own = {str(key): value for key, value in content.items() if not isinstance(value, dict)}
    default = _section("resources.default", ShareSpec, mappings.pop("default", {}), problems)
    twice = [key for key in ShareSpec.model_fields if key in own and getattr(default, key, None) is not None]
    problems += [Problem(f"resources.{key}", "is given both here and under default: remove one") for key in twice]
    if default is not None:
        own = default.model_dump(exclude_unset=True) | own
    by_model = {
        name: share
        for name, value in mappings.items()
        if isinstance(share := _section(f"resources.{name}", ShareSpec, value, problems), ShareSpec)
    }
    return _section("resources", ResourcesSpec, own, problems), by_model


def _section(name: str, kind: type[Section], value: Any, problems: list[Problem]) -> Section | None:
    if not isinstance(value, dict):
        problems.append(Problem(name, f"must be a mapping with some of {', '.join(_keys(kind))}, not {value!r}"))
        return None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems += _from_pydantic(name, kind, error)
        return None


def _keys(kind: type[Section]) -> list[str]:
    return [f.alias or name for name, f in kind.model_fields.items()]


def _from_pydantic(section: str, kind: type[Section], error: ValidationError) -> list[Problem]:
    """One problem for each key; the texts of a union's branches (`auto` or a number) are joined."""
    texts: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for item in error.errors():
        key = ".".join([section, *map(str, item["loc"][:1])])
        texts.setdefault(key, []).append(_text(item, _keys(kind)))
        if item["type"] not in ("extra_forbidden", "missing", "value_error"):
            given[key] = f", not {item['input']!r}"
    return [
        Problem(key, ("must be " if key in given else "") + " or ".join(dict.fromkeys(lines)) + given.get(key, ""))
        for key, lines in texts.items()
    ]


def _text(item: ErrorDetails, keys: list[str]) -> str:
    """What is wrong, in the words of a spec."""
    if item["type"] == "extra_forbidden":
        unknown = str(item["loc"][0])
        return f"unknown key{nearest(unknown, keys)}; there is: {', '.join(keys)}"
    if item["type"] == "missing":
        return "is missing"
    text = item["msg"]
    for theirs, ours in REWORDED.items():
        text = text.replace(theirs, ours)
    return text
