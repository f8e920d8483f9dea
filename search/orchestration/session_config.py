"""What all trials of a session share."""

from dataclasses import dataclass
from pathlib import Path

from contract.events import Phase
from search.orchestration.slots import Slots
from search.storage.mirror import Mirror
from search.trial.data_source import DataSource


@dataclass(frozen=True)
class SessionConfig:
    """The objective, the data, and what trials are given; one for each phase of a search."""

    phase: Phase
    metric: str
    maximize: bool
    data: DataSource
    classes: int
    """The number of classes of the data set."""
    folder: Path
    """The search's folder, which holds the checkpoints and the tracebacks."""
    keep: int
    """How many of the best finished trials keep their checkpoint."""
    slots: Slots
    """What trials are given, and how many run at a time."""
    retries: int = 0
    """How often a trial whose worker died continues from its last epoch."""
    score_test: bool = False
    """Whether the last epoch is scored on the test set as well."""
    mirror: Mirror | None = None
    """The folder's copy in an object store, where the checkpoints are then as well."""
    checkpoint_bytes: int | None = None
    """What all checkpoints may take on the disk; None for no limit."""
