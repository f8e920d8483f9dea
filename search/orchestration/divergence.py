"""When nothing more can be learned from a trial."""

import math
from collections.abc import Sequence

from contract.metrics import LOSSES, TRAIN_LOSS, VAL_ACCURACY, Metrics, is_number

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


def divergence(history: Sequence[Metrics], classes: int, loss: str, metric: str) -> str | None:
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
    if last[TRAIN_LOSS] > EXPLODED * guessing:
        return f"{TRAIN_LOSS} {last[TRAIN_LOSS]:.3g} at epoch {len(history)}, {guessing:.3g} would be guessing"
    if _dead(history[-DEAD_EPOCHS:], classes, guessing):
        return f"predicts alike for every image: {VAL_ACCURACY} was the same in the last {DEAD_EPOCHS} epochs"
    return None


def guessing_loss(classes: int, loss: str) -> float:
    """The mean loss of whoever finds all classes equally likely."""
    classes = max(classes, 2)
    return 1 - 1 / classes if loss == "squared_error" else math.log(classes)


def _dead(epochs: Sequence[Metrics], classes: int, guessing: float) -> bool:
    first, last = epochs[0], epochs[-1]
    return (
        len(epochs) == DEAD_EPOCHS
        and {e.get(VAL_ACCURACY) for e in epochs} == {last.get(VAL_ACCURACY)}
        and last.get(VAL_ACCURACY, 1.0) * classes <= DEAD_ACCURACY
        and last[TRAIN_LOSS] >= DEAD_LOSS * guessing
        and first[TRAIN_LOSS] - last[TRAIN_LOSS] < DEAD_IMPROVEMENT * first[TRAIN_LOSS]
    )
