"""Everything that changes while a run trains, saved and restored as a whole."""

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
    """Model, optimizer and the epochs done; the learning rate and all random numbers follow from the epoch."""

    model: nn.Module
    optimizer: optim.Optimizer
    epoch: int = 0
    """The number of finished epochs."""
    history: list[EpochMetrics] = field(default_factory=list)
    """Metrics of all finished epochs, in order."""
    best_value: float = math.inf
    """The lowest value so far of what early stopping watches; an accuracy counts as its negative."""
    best_epoch: int = 0
    """The epoch in which `best_value` was reached."""

    @property
    def metrics(self) -> EpochMetrics | None:
        """The metrics of the last finished epoch, None before the first."""
        return self.history[-1] if self.history else None

    @classmethod
    def create(
        cls, config: TrainConfig, input_shape: tuple[int, int, int], num_classes: int, device: torch.device
    ) -> "TrainState":
        """Make a fresh, seeded state, which is the same on every device.

        Args:
            config: the configuration of the run.
            input_shape: (channels, height, width) of the data set's images.
            num_classes: outputs of the model.
            device: where the model will be.

        Raises:
            ModelError: the model refuses its options or the size of the images.
            UnknownName: no model has that name.
        """
        torch.manual_seed(seed_for(config, INITIAL_WEIGHTS))
        channels, height, width = input_shape
        shape = (channels, config.resize or height, config.resize or width)
        model = named_model.build(config.model, shape, num_classes, config.model_options)
        model = model.to(device).to(memory_format=torch.channels_last)
        return cls(model, optimizers.build(model, config))

    def save(self, path: Path) -> None:
        """Save the state as the newest generation of a checkpoint.

        Raises:
            OSError: the file cannot be written; what was saved before is as it was.
        """
        content = io.BytesIO()
        # It is written to memory first, for torch hides what the disk says behind an error of its own.
        torch.save(self._content(), content)
        checkpoint_file.write(path, content.getbuffer())

    def load(self, path: Path, device: torch.device) -> None:
        """Load a saved state of the same configuration from one file.

        Raises:
            DamagedCheckpoint: the file is not as it was saved.
        """
        content = read(path, device)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.epoch = content["epoch"]
        self.best_value, self.best_epoch = content["best_value"], content["best_epoch"]
        self.history = [EpochMetrics(**metrics) for metrics in content["history"]]

    def restore(self, path: Path, device: torch.device) -> bool:
        """Load the newest undamaged generation of a checkpoint, if there is one.

        A damaged one is removed, or it would replace an undamaged one at the next save.

        Returns:
            Whether a generation was damaged.
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
    """Read what was saved in one file; the weights are under `model`.

    Raises:
        DamagedCheckpoint: the file is not as it was saved.
    """
    content: dict[str, Any] = torch.load(io.BytesIO(checkpoint_file.read(path)), map_location=device, weights_only=True)
    return content
