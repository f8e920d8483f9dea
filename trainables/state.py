"""All that changes while a run trains, saved whole and read back whole."""

import io
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim

from trainables import checkpoint_file, named_model, optimizers
from trainables.checkpoint_file import DamagedCheckpoint
from trainables.config import TrainConfig
from trainables.epoch_metrics import EpochMetrics
from trainables.loader import INITIAL_WEIGHTS, seed_for


@dataclass
class TrainState:
    """Model, optimizer and the epochs done. The schedule and all random numbers follow from the epoch."""

    model: nn.Module
    optimizer: optim.Optimizer
    epoch: int = 0
    """Epochs finished."""
    history: list[EpochMetrics] = field(default_factory=list)
    """Of all finished epochs, in order."""
    best_value: float = math.inf
    """The least value so far of what early stopping watches; of an accuracy, its negative."""
    best_epoch: int = 0
    """The epoch of that value."""

    @property
    def metrics(self) -> EpochMetrics | None:
        """Of the last finished epoch."""
        return self.history[-1] if self.history else None

    @classmethod
    def create(
        cls, config: TrainConfig, input_shape: tuple[int, int, int], num_classes: int, device: torch.device
    ) -> "TrainState":
        """A fresh, seeded state; the same on every device.

        Args:
            input_shape: (channels, height, width) of the data set's images.

        Raises:
            ModelError: the model refuses its options or the size of the images.
            UnknownName: no such model.
        """
        torch.manual_seed(seed_for(config, INITIAL_WEIGHTS))
        channels, height, width = input_shape
        shape = (channels, config.resize or height, config.resize or width)
        model = named_model.build(config.model, shape, num_classes, config.model_options)
        model = model.to(device).to(memory_format=torch.channels_last)
        return cls(model, optimizers.build(model, config))

    def save(self, path: Path) -> None:
        """Make this the newest generation of a checkpoint.

        Raises:
            OSError: it cannot be written; what was saved before is as it was.
        """
        content = io.BytesIO()
        # Into memory first: torch hides what the disk says behind an error of its own.
        torch.save(self._content(), content)
        checkpoint_file.write(path, content.getbuffer())

    def load(self, path: Path, device: torch.device) -> None:
        """Take over a saved state of the same configuration, from one file.

        Raises:
            DamagedCheckpoint: it is not as it was saved.
        """
        content = read(path, device)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.epoch = content["epoch"]
        self.best_value, self.best_epoch = content["best_value"], content["best_epoch"]
        self.history = [EpochMetrics(**metrics) for metrics in content["history"]]

    def restore(self, path: Path, device: torch.device) -> bool:
        """Take over the newest whole generation of a checkpoint, if there is one.

        A damaged one is removed, lest it take the place of a whole one at the next save.

        Returns:
            Whether there was a damaged one.
        """
        damaged = False
        for generation in checkpoint_file.generations(path):
            try:
                self.load(generation, device)
                break
            except DamagedCheckpoint:
                damaged = True
                generation.unlink()
        return damaged

    def _content(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "history": [asdict(metrics) for metrics in self.history],
        }


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """What was saved in one file; the weights are under `model`.

    Raises:
        DamagedCheckpoint: it is not as it was saved.
    """
    return torch.load(io.BytesIO(checkpoint_file.read(path)), map_location=device, weights_only=True)
