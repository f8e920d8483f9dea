"""What the image classifier reports of an epoch. Free of torch: specs are checked against it."""

from dataclasses import dataclass, fields

from contract.metrics import natural_mode


@dataclass(frozen=True)
class EpochMetrics:
    """What an epoch of training gave. Accuracies are 0..1, losses means over images (cross-entropy in nats)."""

    epoch: int
    """From 1."""
    train_loss: float
    """Over the epoch's batches as they were trained on, augmented."""
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    """Of the epoch's last step."""
    epoch_seconds: float
    """Training and evaluation."""
    images_per_second: float
    """Training only."""
    peak_memory_mb: float


OBJECTIVES = tuple(f.name for f in fields(EpochMetrics) if natural_mode(f.name))
"""The metrics that say by their names which way they are better: what a search can optimise unasked."""
