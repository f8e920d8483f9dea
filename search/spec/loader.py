"""A search as its YAML file says it: read, checked, every mistake reported at once."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.formatting import nearest
from search.errors import Problem, UserError
from search.spec import space_parser, validation, yaml_file
from search.spec.schema import SECTIONS, ResourcesSpec, SchedulerSpec, Section, ShareSpec
from search.spec.spec import Spec
from search.storage import address
from trainables.config import FIELDS

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
LONGEST_NAME = 100
"""Characters: it is part of file names and of other names."""


KEYS = ("name", "model", "space", "storage", *SECTIONS)


def load(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """Read a spec file.

    Args:
        overrides: `key=value` of the command line's `--set`, the key a dotted path.

    Raises:
        UserError: every mistake in the file, with its key and line.
    """
    content, lines = yaml_file.read(path)
    content = _expanded(content)
    problems = []
    for override in overrides:
        problems += [p] if (p := _override(content, override)) else []
        content = _expanded(content)
    if not problems:
        spec, problems = parse(content, str(path), lines)
    if problems:
        raise UserError(problems, path, lines)
    assert spec is not None  # noqa: S101 (for the type checker: without problems there is a spec)
    return spec


def parse(content: dict[str, Any], source: str, lines: dict[str, int]) -> tuple[Spec | None, list[Problem]]:
    """A spec from a mapping, or everything that is wrong with it."""
    content = _expanded(content)
    problems = [
        Problem(str(key), f"unknown key{nearest(str(key), list(KEYS))}; there is: {', '.join(KEYS)}")
        for key in content
        if key not in KEYS
    ]
    sections = {
        name: _section(name, kind, content.get(name, {}), problems)
        for name, kind in SECTIONS.items()
        if name != "resources"
    }
    sections["resources"], by_model = _resources(content.get("resources", {}), problems)
    name = _name(content, problems)
    if (text := _storage_problem(content.get("storage"))) is not None:
        problems.append(Problem("storage", text))
    entries = content.get("space", {})
    if not isinstance(entries, dict):
        problems.append(Problem("space", "must be a mapping of hyperparameters"))
        entries = {}
    if "model" in content and "model" in entries:
        problems.append(Problem("model", "is given both here and in space: remove one"))
    model = content.get("model", entries.get("model", FIELDS["model"].default))
    parsed, found = space_parser.parse({"model": model, **{str(key): entry for key, entry in entries.items()}})
    models = parsed.possible("model")
    problems += [
        Problem(f"resources.{name}", f"no trial trains it; the models are: {', '.join(map(str, models))}")
        for name in by_model
        if name not in models
    ]
    scheduler = sections["scheduler"]
    epochs_given = "epochs" in parsed.keys
    if isinstance(scheduler, SchedulerSpec) and not epochs_given:
        parsed = replace(parsed, constants={**parsed.constants, "epochs": scheduler.max_epochs})
    problems += found
    problems += validation.space_problems(parsed)
    problems += validation.cross_problems(sections, parsed, epochs_given)
    if problems:
        where = "model" if "model" in content else "space.model"
        return None, [Problem(p.key.replace("space.model", where, 1), p.text) for p in problems]
    fields: dict[str, Any] = {
        "name": name,
        "space": parsed,
        "source": source,
        "lines": lines,
        "content": content,
        "by_model": by_model,
        "storage": address.resolve(content.get("storage")),
        **sections,
    }
    return Spec.model_construct(**fields), []


def _expanded(content: dict[str, Any]) -> dict[str, Any]:
    """`data: digits` is short for `data: {name: digits}`."""
    data = content.get("data")
    return {**content, "data": {"name": data}} if isinstance(data, str) else content


def _resources(content: Any, problems: list[Problem]) -> tuple[Section | None, dict[str, ShareSpec]]:
    """The section, and what models are given that have a key of their own in it."""
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
    if name == "confirm" and value is None:
        return None
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
    """One problem a key; of the branches of a union (`auto` or a number) the texts are joined."""
    texts: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for item in error.errors():
        key = ".".join([section, *map(str, item["loc"][:1])])
        message = (
            item["msg"]
            .removeprefix("Value error, ")
            .replace("Input should be ", "")
            .replace("a valid integer", "a whole number")
            .replace("a valid ", "a ")
        )
        if item["type"] == "extra_forbidden":
            unknown = str(item["loc"][0])
            message = f"unknown key{nearest(unknown, _keys(kind))}; there is: {', '.join(_keys(kind))}"
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"] != "value_error":
            given[key] = f", not {item['input']!r}"
        texts.setdefault(key, []).append(message)
    return [
        Problem(key, ("must be " if key in given else "") + " or ".join(dict.fromkeys(lines)) + given.get(key, ""))
        for key, lines in texts.items()
    ]


def _storage_problem(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        return f"must be a folder, or an address such as s3://BUCKET/FOLDER, not {value!r}"
    return address.problem(value)


def _name(content: dict, problems: list[Problem]) -> str:
    name = content.get("name")
    if name is None:
        problems.append(Problem("name", "is missing: it names the MLflow experiment"))
    elif not isinstance(name, str) or not re.fullmatch(NAME, name):
        quote = "" if isinstance(name, str) else " (a name of digits alone needs quotes)"
        problems.append(Problem("name", f"must be letters, digits, '-', '_' and '.', not {name!r}{quote}"))
    elif len(name) > LONGEST_NAME:
        problems.append(Problem("name", f"has {len(name)} characters, at most {LONGEST_NAME} are allowed"))
    return str(name)


def _override(content: dict, override: str) -> Problem | None:
    """Set one `a.b=value` in the content."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        return Problem("--set", f"must be key=value, such as space.lr=1e-3, not {override!r}")
    *parents, last = path.strip().split(".")
    try:
        yaml_file.check_text(path)
        if len(parents) > yaml_file.DEEPEST:
            raise yaml_file.Refused(f"is nested more than {yaml_file.DEEPEST} levels deep")
        value = yaml_file.value(text)
    except yaml_file.Refused as error:
        return Problem(f"--set {path}", str(error))
    place = content
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            return Problem(f"--set {path}", f"{parent} is a value, not a section: set {parent} itself")
    place[last] = value
    return None
