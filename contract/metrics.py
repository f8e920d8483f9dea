"""What an epoch reports: a number under each name, finite or not.

A trainable reports whatever it measures, and all of it goes to the journal, to MLflow and to the frames of
`analysis`. The names below are those that more than one module must know.
"""

from collections.abc import Mapping
from typing import Literal

Metrics = Mapping[str, float]
"""The metrics of one epoch by name."""
Mode = Literal["max", "min"]

TRAIN_LOSS, TRAIN_ACCURACY = "train_loss", "train_accuracy"
VAL_LOSS, VAL_ACCURACY = "val_loss", "val_accuracy"
TEST_LOSS, TEST_ACCURACY = "test_loss", "test_accuracy"
LR, EPOCH_SECONDS = "lr", "epoch_seconds"
IMAGES_PER_SECOND, PEAK_MEMORY_MB = "images_per_second", "peak_memory_mb"

LOSSES = (TRAIN_LOSS, VAL_LOSS)
"""The losses of a classifier: where one is not finite, no other metric of the epoch means anything."""

ACCURACY, LOSS = "accuracy", "loss"
"""The last words of names whose direction is known: accuracies are raised, losses lowered."""


def is_number(value: object) -> bool:
    """Whether a value is a number, finite or not; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_share(metric: str) -> bool:
    """Whether a metric lies in 0..1 and is shown in percent."""
    return metric.endswith(ACCURACY)


def natural_mode(metric: str) -> Mode | None:
    """Which way a metric is better, as far as its name says so: accuracies are raised, losses lowered."""
    if metric.endswith(ACCURACY):
        return "max"
    return "min" if metric.endswith(LOSS) else None


def label(metric: str) -> str:
    """A metric's name as an axis or a heading shows it: `val_accuracy` is `validation accuracy`."""
    return _LABELS.get(metric) or metric.replace("val_", "validation ").replace("train_", "training ").replace("_", " ")


_LABELS = {
    EPOCH_SECONDS: "seconds an epoch",
    IMAGES_PER_SECOND: "images a second",
    PEAK_MEMORY_MB: "peak memory (MB)",
}
