"""What the image classifier reports of an epoch. This module is free of torch: specs are checked against it."""

from dataclasses import dataclass, fields

from contract.metrics import natural_mode


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch. Accuracies are 0..1, losses are means over images (cross-entropy in nats)."""

    epoch: int
    """The number of the epoch, from 1."""
    train_loss: float
    """Mean over the epoch's batches as they were trained on, augmented."""
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    """Learning rate of the epoch's last step."""
    epoch_seconds: float
    """Wall time of training and evaluation."""
    images_per_second: float
    """Training images over the wall time of training alone."""
    peak_memory_mb: float
    """Peak memory of the run so far, in MB (10**6 bytes): of the GPU, or of the process on a CPU."""


OBJECTIVES = tuple(f.name for f in fields(EpochMetrics) if natural_mode(f.name))
"""The metrics whose names say which way is better: a search can optimise them without being given a mode."""
