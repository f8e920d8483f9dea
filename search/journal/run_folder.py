"""The folder of one search: `results/<name>/<id>/` with its spec, journal, study, checkpoints and errors."""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contract.events import SEARCH
from contract.files import atomic_write, remove_unfinished
from contract.formatting import first_line
from contract.redaction import redact
from search.errors import Problem, UserError
from search.journal import compatibility
from search.journal.journal import AlreadyRunning, Journal
from search.spec.spec import Spec
from search.storage.address import is_object_store
from search.storage.layout import CHECKPOINTS, DATA, JOURNAL, SPEC, Layout
from search.storage.mirror import Mirror, other_driver, pull
from search.storage.storage import Storage
from search.trial.data_source import DataSource
from trainables.image_data import ImageData

FIXED = {
    "data": "its trials were trained or validated on other images",
    "objective": "its trials were chosen by another figure",
    "scheduler": "its trials were trained and stopped by other rules",
}
"""Sections that may not change between a search and its continuation, and why."""


@dataclass(frozen=True)
class SearchFolder:
    """An open search; holds its lock."""

    path: Path
    journal: Journal
    mirror: Mirror | None
    """Its copy in an object store, None where the folder is all there is."""

    @property
    def id(self) -> str:
        """The search's name in every record."""
        return self.path.name

    @property
    def files(self) -> Layout:
        """Where each of its files is."""
        return Layout(self.path)

    @classmethod
    def open(cls, results: Path, spec: Spec, source: DataSource, data: ImageData, resume: str | None) -> "SearchFolder":
        """Begin a search, or open an earlier one, from the spec's object store where it names one.

        Args:
            results: the folder of all searches on this machine's disk, or on one that all machines share.
            spec: the search.
            source: its data set.
            data: the images.
            resume: None, `latest`, or the id of a search.

        Raises:
            UserError: there is no such search, it cannot be continued as the spec says, or another process runs it.
        """
        home = results / spec.name
        store = Storage(spec.storage, spec.name) if spec.storage and is_object_store(spec.storage) else None
        if resume is None:
            path = home / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        else:
            path = _stored(store, home, resume) if store else _earlier(home, resume)
        try:
            journal = Journal(Layout(path).journal)
        except AlreadyRunning as error:
            raise UserError([Problem("--resume", f"{error}: wait for it, or end it")]) from error
        except OSError as error:
            raise UserError([unwritable(path, error)]) from error
        try:
            if resume is not None and (problems := _irreconcilable(path, journal, spec, source, data)):
                raise UserError(problems, spec.source, spec.lines)
            _write_identity(Layout(path), spec, source, data)
            mirror = _mirror(store, path) if store else None
        except OSError as error:
            journal.close()
            raise UserError([unwritable(path, error)]) from error
        except UserError:
            journal.close()
            raise
        return cls(path, journal, mirror)

    def fetch_checkpoints(self) -> None:
        """Bring the kept checkpoints of ended trials here from the object store, for what is made of them."""
        if self.mirror is not None:
            for name in self.mirror.sizes(CHECKPOINTS):
                self.mirror.storage.fetch(f"{CHECKPOINTS}/{name}", self.files.checkpoints / name)


def unwritable(path: Path, error: OSError) -> Problem:
    """What to say of a folder of results in which nothing can be written."""
    return Problem("--results", f"{path} cannot be written to ({error.strerror}): free some space, or name another")


def unusable(storage: str, error: OSError) -> Problem:
    """What to say of a storage that does not answer as it should."""
    remedy = "correct the address, or the access to it"
    return Problem("storage", f"{redact(storage)} cannot be used ({redact(first_line(error))}): {remedy}")


@contextlib.contextmanager
def reaching(storage: str) -> Iterator[None]:
    """What a storage fails of within is told as a mistake in the spec is."""
    try:
        yield
    except OSError as error:
        raise UserError([unusable(storage, error)]) from error


def _write_identity(files: Layout, spec: Spec, source: DataSource, data: ImageData) -> None:
    """Write what the search is, and remove what a killed driver left half-written: the lock is ours."""
    for file in (files.spec, files.data, files.description, files.position):
        remove_unfinished(file)
    with atomic_write(files.spec) as new:
        new.write_text(redact(yaml.safe_dump(spec.content, sort_keys=False)))  # it goes to MLflow too
    with atomic_write(files.data) as new:
        new.write_text(json.dumps({**source.content(), "fingerprint": data.fingerprint}))


def _earlier(home: Path, resume: str) -> Path:
    begun = (p.parent for p in home.glob(f"*/{JOURNAL}"))
    found = sorted(p.name for p in begun if (p / SPEC).exists() and (p / DATA).exists())
    return home / _chosen(found, resume, str(home))


def _stored(store: Storage, home: Path, resume: str) -> Path:
    """The folder of an earlier search, brought up to what the object store has of it."""
    with reaching(store.address):
        begun = [name for name in store.folders() if {SPEC, DATA} <= set(store.sizes(name))]
        id = _chosen(begun, resume, str(store))
        place = store.under(id)
        if (other := other_driver(place)) is not None:
            raise UserError([Problem("--resume", f"{other} runs the search {id}: wait for it, or end it")])
        pull(place, home / id)
        return home / id


def _mirror(store: Storage, path: Path) -> Mirror:
    with reaching(store.address):
        for name in (SPEC, DATA):
            store.put(path / name, f"{path.name}/{name}")
        return Mirror(path, store.under(path.name))


def _chosen(found: list[str], resume: str, where: str) -> str:
    if not found:
        raise UserError([Problem("--resume", f"there is no search in {where}: start one without --resume")])
    if resume == "latest":
        return found[-1]
    if resume not in found:
        raise UserError([Problem("--resume", f"no search {resume!r} in {where}; there is: {', '.join(found)}")])
    return resume


def _irreconcilable(path: Path, journal: Journal, spec: Spec, source: DataSource, data: ImageData) -> list[Problem]:
    """Why the search cannot continue as the spec says: its trials could not be compared, or none would be left."""
    try:
        before: dict[str, Any] = {**yaml.safe_load(Layout(path).spec.read_text())}
        fingerprint = json.loads(Layout(path).data.read_text())["fingerprint"]
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        remedy = "restore it from a copy, or start a new search"
        return [Problem("--resume", f"{SPEC} or {DATA} in {path} is damaged ({first_line(error)}): {remedy}")]
    remedy = "undo the change, or start a new search without --resume"
    problems = [
        Problem(key, f"differs from the search {path.name}: {why}: {remedy}")
        for key, why in FIXED.items()
        if before.get(key) != spec.content.get(key)
    ]
    if fingerprint != data.fingerprint:
        problems.append(
            Problem(
                "data",
                f"{source.title} has other images than {path.name} was trained on: restore them, or start a new search",
            )
        )
    searched = journal.trials(SEARCH)
    if not problems and searched and len(compatibility.outside(spec, searched)) == len(searched):
        problems.append(
            Problem("space", f"none of the {len(searched)} trials of {path.name} fits the changed space: {remedy}")
        )
    return problems
