"""How a trial can end, and what each end is called elsewhere. Nothing else decides this."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from optuna.trial import TrialState


class Outcome(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    """Trained to its last epoch, or until its own early stopping."""
    STOPPED = "stopped"
    """By the scheduler, at a rung."""
    DIVERGED = "diverged"
    """Nothing more could be learned: see `divergence`."""
    FAILED = "failed"
    """By an error, or its worker died more often than it may."""
    INTERRUPTED = "interrupted"
    """The search ended before it did; a resumed search goes on with it."""


OPTUNA_STATE: dict[Outcome, TrialState | None] = {
    Outcome.COMPLETED: TrialState.COMPLETE,
    Outcome.STOPPED: TrialState.PRUNED,
    # Its last intermediate value is not a number, which TPE ranks below all others at that epoch. After a FAIL, which
    # is ignored, 29 of 40 trials diverged instead of 9; COMPLETE with the worst value was no better
    # (benchmarks/diverged.py).
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


LOSSES = ("train_loss", "val_loss")
EXPLODED = 1000.0
"""A mean training loss above so many times that of guessing has exploded. Of short epochs less would be too strict:
LeNet with adam at lr 0.08 and three steps an epoch begins at 200 to 260 times, and one seed of three then learns."""
DEAD_EPOCHS = 5
"""Over so many epochs a dead network's accuracy is the same."""
DEAD_ACCURACY = 1.5
"""Times that of guessing: what a dead network's accuracy may be at the most, for classes are not all of one size."""
DEAD_LOSS, DEAD_IMPROVEMENT = 0.95, 0.01
"""A dead network's training loss is at least this part of that of guessing, and fell by less than this part of itself.
A slow starter's falls faster; whoever stays below has learned something, and no longer learns."""


def divergence(history: Sequence[Mapping[str, Any]], classes: int, loss: str, metric: str) -> str | None:
    """Why nothing more can be learned after the last of these epochs, or None.

    Args:
        history: metrics of each epoch so far, in order; the earlier ones gave None.
        classes: of the data set.
        loss: the one that is trained on, by its name in `TrainConfig.loss`.
        metric: the objective.
    """
    last = history[-1]
    for name in (*LOSSES, metric):
        if not is_number(last.get(name)):
            return f"{name} is missing at epoch {len(history)}"
        if not math.isfinite(last[name]):
            return f"{name} is not finite at epoch {len(history)}"
    guessing = guessing_loss(classes, loss)
    if last["train_loss"] > EXPLODED * guessing:
        return f"train_loss {last['train_loss']:.3g} at epoch {len(history)}, {guessing:.3g} would be guessing"
    if _dead(history[-DEAD_EPOCHS:], classes, guessing):
        return f"predicts alike for every image: val_accuracy was the same in the last {DEAD_EPOCHS} epochs"
    return None


def guessing_loss(classes: int, loss: str) -> float:
    """The mean loss of whoever finds all classes equally likely."""
    classes = max(classes, 2)
    return 1 - 1 / classes if loss == "squared_error" else math.log(classes)


def is_number(value: object) -> bool:
    """Whether it is a number, finite or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dead(epochs: Sequence[Mapping[str, Any]], classes: int, guessing: float) -> bool:
    first, last = epochs[0], epochs[-1]
    return (
        len(epochs) == DEAD_EPOCHS
        and {e.get("val_accuracy") for e in epochs} == {last.get("val_accuracy")}
        and last.get("val_accuracy", 1.0) * classes <= DEAD_ACCURACY
        and last["train_loss"] >= DEAD_LOSS * guessing
        and first["train_loss"] - last["train_loss"] < DEAD_IMPROVEMENT * first["train_loss"]
    )
