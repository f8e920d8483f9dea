"""How a trial can end, and what each end is called in Optuna and in MLflow. Nothing else decides this."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    """It trained to its last epoch, or until its own early stopping."""
    STOPPED = "stopped"
    """The scheduler stopped it at a rung."""
    DIVERGED = "diverged"
    """Nothing more could be learned."""
    FAILED = "failed"
    """An error ended it, or its worker died more often than it may."""
    INTERRUPTED = "interrupted"
    """The search ended before it did; a resumed search continues it."""


RUNNING = "running"
"""What stands in place of the outcome of a trial that has not ended."""

OPTUNA_STATE: dict[Outcome, str | None] = {
    Outcome.COMPLETED: "COMPLETE",
    Outcome.STOPPED: "PRUNED",
    # Its last intermediate value is not a number, which TPE ranks below all others at that epoch. After a FAIL, which
    # is ignored, 29 of 40 trials diverged instead of 9; COMPLETE with the worst value was no better
    # (benchmarks/diverged.py).
    Outcome.DIVERGED: "PRUNED",
    Outcome.FAILED: "FAIL",
    Outcome.INTERRUPTED: None,
}
"""The names of Optuna's states. None: the trial stays RUNNING in the study, and a resumed search attaches to it."""

MLFLOW_STATUS: dict[Outcome, str] = {
    Outcome.COMPLETED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.DIVERGED: "FAILED",
    Outcome.FAILED: "FAILED",
    Outcome.INTERRUPTED: "KILLED",
}
