"""How a trial can end, and what each end is called elsewhere. Nothing else decides this."""

import math
from collections.abc import Mapping
from enum import StrEnum

from optuna.trial import TrialState


class Outcome(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    """Trained to its last epoch, or until its own early stopping."""
    STOPPED = "stopped"
    """By the scheduler, at a rung."""
    DIVERGED = "diverged"
    """Its loss was no longer a finite number."""
    FAILED = "failed"
    """By an error, or its worker died more often than it may."""
    INTERRUPTED = "interrupted"
    """The search ended before it did; a resumed search goes on with it."""


OPTUNA_STATE: dict[Outcome, TrialState | None] = {
    Outcome.COMPLETED: TrialState.COMPLETE,
    Outcome.STOPPED: TrialState.PRUNED,
    # Its last intermediate value is not a number, which TPE ranks below all others at that epoch;
    # a FAIL would be ignored, and the region proposed again.
    Outcome.DIVERGED: TrialState.PRUNED,
    Outcome.FAILED: TrialState.FAIL,
    Outcome.INTERRUPTED: None,
}
"""None: the trial stays RUNNING in the study, and a resumed search attaches to it again."""

MLFLOW_STATUS = {
    Outcome.COMPLETED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.DIVERGED: "FAILED",
    Outcome.FAILED: "FAILED",
    Outcome.INTERRUPTED: "KILLED",
}


def is_diverged(metrics: Mapping[str, float]) -> bool:
    """Whether an epoch's losses show that nothing more can be learned."""
    return not all(math.isfinite(metrics[name]) for name in ("train_loss", "val_loss"))
