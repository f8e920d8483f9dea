"""Where a search keeps what: the names of the files of its folder, and of its copy in an object store."""

from dataclasses import dataclass
from pathlib import Path

from contract.record import DESCRIPTION_FILE, REPORT_FOLDER, SPEC_FILE

JOURNAL, STUDY, SPEC, DATA, POSITION = "journal.jsonl", "study.log", SPEC_FILE, "data.json", "tracking.json"
CHECKPOINTS, ERRORS = "checkpoints", "errors"
LEASE = "driver.json"
"""File in an object store alone: which driver writes there, and when it last gave a sign of life."""
JOURNAL_PARTS = "journal"
"""Folder in an object store alone: the parts of the journal, since nothing can be appended there."""


@dataclass(frozen=True)
class Layout:
    """The folder of one search, `results/<name>/<id>/`."""

    folder: Path

    @property
    def journal(self) -> Path:
        """Every event: the truth, from which the study and MLflow's record follow."""
        return self.folder / JOURNAL

    @property
    def study(self) -> Path:
        """The Optuna study: a journal file, as optuna-dashboard opens it."""
        return self.folder / STUDY

    def damaged_study(self, when: str) -> Path:
        """Where a study that could not be read is put aside."""
        return self.folder / f"study-damaged-{when}.log"

    @property
    def spec(self) -> Path:
        """The spec as it was read, overrides applied."""
        return self.folder / SPEC

    @property
    def data(self) -> Path:
        """What the trials were trained on."""
        return self.folder / DATA

    @property
    def description(self) -> Path:
        """What `analysis` must know of the spec."""
        return self.folder / DESCRIPTION_FILE

    @property
    def position(self) -> Path:
        """How far the journal has been sent to MLflow."""
        return self.folder / POSITION

    @property
    def checkpoints(self) -> Path:
        """The folder of the trials' states."""
        return self.folder / CHECKPOINTS

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.folder / REPORT_FOLDER

    def checkpoint(self, trial: str) -> Path:
        """The state of a trial."""
        return self.checkpoints / checkpoint_name(trial)

    def error(self, trial: str) -> Path:
        """The whole error of a trial that failed."""
        return self.folder / ERRORS / f"{trial}.txt"


def checkpoint_name(trial: str) -> str:
    """The name of a trial's state in the folder of checkpoints."""
    return f"{trial}.pt"


def stored_checkpoint(trial: str) -> str:
    """The name of a trial's state from the root of the search's folder, as object stores have it."""
    return f"{CHECKPOINTS}/{checkpoint_name(trial)}"


def journal_part(offset: int) -> str:
    """The name of the part of the journal that begins at a byte offset, in an object store."""
    return f"{JOURNAL_PARTS}/{offset:015d}.jsonl"
