"""What the parts of one command share: the search, where it is kept, and the person in front of it."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from search.journal.journal import Journal
from search.journal.run_folder import SearchFolder
from search.spec.spec import Spec
from search.trial.data_source import DataSource
from trainables.image_data import ImageData


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line of a search says."""

    spec: Path
    """The spec file."""
    set: tuple[str, ...] = ()
    """Overrides of the spec's keys, each as `key=value`."""
    data_dir: Path
    """The folder of all data sets."""
    allow_code: bool = False
    """Whether models and data sets of the user's own may be run."""
    dry_run: bool = False
    """Whether the search is only shown, not run."""
    resume: str | None = None
    """`latest`, or the id of the search to continue; None for a new one."""
    in_process: bool = False
    """Whether trials run in this process, without Ray."""
    report: bool = True
    """Whether a report is made at the end."""
    results: Path | None = None
    """The folder in which searches keep their state, unless the spec names a storage."""
    address: str | None = None
    """The address of the Ray cluster to run on."""

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "Options":
        """The options among parsed arguments."""
        given = {f.name: getattr(arguments, f.name) for f in fields(cls)}
        return cls(**{**given, "set": tuple(arguments.set)})


@dataclass(frozen=True)
class Context:
    """A search that has been checked and opened."""

    spec: Spec
    source: DataSource
    data: ImageData
    folder: SearchFolder
    console: Console
    options: Options

    @property
    def journal(self) -> Journal:
        """The search's events."""
        return self.folder.journal

    @property
    def experiment(self) -> str:
        """The MLflow experiment: the spec's name; runs on a substitute data set have one of their own."""
        substitute = f"-SUBSTITUTE-{self.source.name}" if self.source.substitute_for else ""
        return f"{self.spec.name}{substitute}"

    def say(self, text: str, style: str = "") -> None:
        """Print a line of plain text, however long it is."""
        self.console.print(escape(text), style=style or None, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line that the person should notice."""
        self.say(text, "yellow")
