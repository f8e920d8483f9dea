"""The folder of one search: `results/<name>/<id>/` with its spec, journal, study, checkpoints and errors."""

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.dataset import DataSource
from search.errors import Problem, UserError
from search.journal import AlreadyRunning, Journal
from search.spec import Spec
from trainables.data import ImageData
from trainables.redaction import redact

SPEC, DATA = "spec.yaml", "data.json"
CHANGEABLE = ("budget", "confirm", "resources", "tracking")
"""Sections that may change between a search and its continuation."""


@dataclass(frozen=True)
class SearchFolder:
    """An open search; holds its lock."""

    path: Path
    journal: Journal

    @property
    def id(self) -> str:
        """The search's name in every record."""
        return self.path.name

    @property
    def study(self) -> Path:
        """The Optuna study: a journal file, as optuna-dashboard opens it."""
        return self.path / "study.log"

    @classmethod
    def open(cls, results: Path, spec: Spec, source: DataSource, data: ImageData, resume: str | None) -> "SearchFolder":
        """Begin a search, or take up an earlier one.

        Args:
            resume: None, `latest`, or the id of a search.

        Raises:
            UserError: there is no such search, it is another one's, or another process is running it.
        """
        home = results / spec.name
        if resume is None:
            path = home / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        else:
            path = _earlier(home, resume)
            _check_same(path, spec, source, data)
        try:
            journal = Journal(path / "journal.jsonl")
        except AlreadyRunning as error:
            raise UserError([Problem("--resume", f"{error}: wait for it, or end it")]) from error
        except OSError as error:
            raise UserError([Problem("--results", f"{path} cannot be written to: {error.strerror}")]) from error
        (path / SPEC).write_text(redact(yaml.safe_dump(spec.content, sort_keys=False)))  # it goes to MLflow too
        (path / DATA).write_text(json.dumps({**source.content(), "fingerprint": data.fingerprint}))
        return cls(path, journal)


def _earlier(home: Path, resume: str) -> Path:
    begun = (p.parent for p in home.glob("*/journal.jsonl"))
    found = sorted(p for p in begun if (p / SPEC).exists() and (p / DATA).exists())
    if not found:
        raise UserError([Problem("--resume", f"there is no search in {home}: start one without --resume")])
    if resume == "latest":
        return found[-1]
    match = [path for path in found if path.name == resume]
    if not match:
        raise UserError(
            [Problem("--resume", f"no search {resume!r} in {home}; there is: {', '.join(p.name for p in found)}")]
        )
    return match[0]


def _check_same(path: Path, spec: Spec, source: DataSource, data: ImageData) -> None:
    """Refuse to mix trials that cannot be compared."""
    before: dict[str, Any] = yaml.safe_load((path / SPEC).read_text())
    problems = [
        Problem(key, f"differs from the search {path.name}: undo the change, or start a new search without --resume")
        for key in sorted({*before, *spec.content} - set(CHANGEABLE))
        if before.get(key) != spec.content.get(key)
    ]
    if json.loads((path / DATA).read_text())["fingerprint"] != data.fingerprint:
        problems.append(
            Problem(
                "data",
                f"{source.title} has other images than {path.name} was trained on: restore them, or start a new search",
            )
        )
    if problems:
        raise UserError(problems, spec.source, spec.lines)
