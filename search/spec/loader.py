"""A search as its YAML file says it: read, checked, every mistake reported at once."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract.formatting import nearest
from search.errors import Problem, UserError
from search.spec import section_parser, space_parser, validation, yaml_file
from search.spec.schema import SECTIONS, SchedulerSpec
from search.spec.space import Space
from search.spec.spec import Spec
from search.storage import address
from trainables.config import FIELDS

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
MAX_NAME_LENGTH = 100
"""Characters of a spec's name, which is part of file names and of other names."""
KEYS = ("name", "model", "space", "storage", *SECTIONS)


def load(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """Read a spec file.

    Args:
        path: the file.
        overrides: `key=value` of the command line's `--set`, the key a dotted path.

    Raises:
        UserError: every mistake in the file, with its key and line.
    """
    content, lines = yaml_file.read(path)
    content = _expanded(content)
    problems = []
    for override in overrides:
        if (problem := _override(content, override)) is not None:
            problems.append(problem)
        content = _expanded(content)
    if problems:
        raise UserError(problems, path, lines)
    spec, problems = parse(content, str(path), lines)
    if spec is None:
        raise UserError(problems, path, lines)
    return spec


def parse(content: dict[str, Any], source: str, lines: dict[str, int]) -> tuple[Spec | None, list[Problem]]:
    """Read a spec from a mapping.

    Args:
        content: what the file says, overrides applied.
        source: the file, as messages name it.
        lines: the line of each key in the file, counted from 1.

    Returns:
        The spec, None where anything is wrong, and all that is wrong.
    """
    content = _expanded(content)
    problems = [
        Problem(str(key), f"unknown key{nearest(str(key), KEYS)}; there is: {', '.join(KEYS)}")
        for key in content
        if key not in KEYS
    ]
    sections, by_model, found = section_parser.parse(content)
    problems += [*found, *_name_problems(content.get("name")), *_storage_problems(content.get("storage"))]
    space, found = _space(content)
    problems += [*_model_problems(by_model, space), *found]
    epochs_given, scheduler = "epochs" in space.keys, sections["scheduler"]
    if isinstance(scheduler, SchedulerSpec) and not epochs_given:
        space = replace(space, constants={**space.constants, "epochs": scheduler.max_epochs})
    problems += [*validation.space_problems(space), *validation.cross_problems(sections, space, epochs_given)]
    if problems:
        where = "model" if "model" in content else "space.model"
        return None, [Problem(p.key.replace("space.model", where, 1), p.text) for p in problems]
    fields: dict[str, Any] = {
        "name": content["name"],
        "space": space,
        "source": source,
        "lines": lines,
        "content": content,
        "by_model": by_model,
        "storage": address.resolve(content.get("storage")),
        **sections,
    }
    return Spec.model_construct(**fields), []


def _expanded(content: dict[str, Any]) -> dict[str, Any]:
    """Write out `data: digits`, which is short for `data: {name: digits}`."""
    data = content.get("data")
    return {**content, "data": {"name": data}} if isinstance(data, str) else content


def _space(content: Mapping[str, Any]) -> tuple[Space, list[Problem]]:
    """The space, of which the model is a part, whether it stands in the space or beside it; and what is wrong."""
    problems = []
    entries = content.get("space", {})
    if not isinstance(entries, dict):
        problems.append(Problem("space", "must be a mapping of hyperparameters"))
        entries = {}
    if "model" in content and "model" in entries:
        problems.append(Problem("model", "is given both here and in space: remove one"))
    model = content.get("model", entries.get("model", FIELDS["model"].default))
    space, found = space_parser.parse({"model": model, **{str(key): entry for key, entry in entries.items()}})
    return space, problems + found


def _model_problems(by_model: Mapping[str, Any], space: Space) -> list[Problem]:
    """Keys of `resources` that name no model of the search."""
    models = space.possible("model")
    listed = ", ".join(map(str, models))
    return [
        Problem(f"resources.{name}", f"no trial trains it; the models are: {listed}")
        for name in by_model
        if name not in models
    ]


def _storage_problems(value: Any) -> list[Problem]:
    if value is None:
        return []
    if not isinstance(value, str) or not value:
        return [Problem("storage", f"must be a folder, or an address such as s3://BUCKET/FOLDER, not {value!r}")]
    text = address.problem(value)
    return [] if text is None else [Problem("storage", text)]


def _name_problems(name: Any) -> list[Problem]:
    if name is None:
        return [Problem("name", "is missing: it names the MLflow experiment")]
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        quote = "" if isinstance(name, str) else " (a name of digits alone needs quotes)"
        return [Problem("name", f"must be letters, digits, '-', '_' and '.', not {name!r}{quote}")]
    if len(name) > MAX_NAME_LENGTH:
        return [Problem("name", f"has {len(name)} characters, at most {MAX_NAME_LENGTH} are allowed")]
    return []


def _override(content: dict[str, Any], override: str) -> Problem | None:
    """Set one `a.b=value` in the content; what is wrong with it, if anything."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        return Problem("--set", f"must be key=value, such as space.lr=1e-3, not {override!r}")
    *parents, last = path.strip().split(".")
    try:
        yaml_file.check_text(path)
        if len(parents) > yaml_file.MAX_DEPTH:
            raise yaml_file.Refused(f"is nested more than {yaml_file.MAX_DEPTH} levels deep")
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
