"""A worker that sleeps instead of training, and writes down when: for `benchmarks.simulated_cluster`."""

import json
import os
import random
import socket
import time
from pathlib import Path
from typing import Any

from ray import tune

from contract.steps import EpochDone
from search.backends.ray_worker import RESULT, TASK
from search.trial.task import Task

SECONDS = (6.0, 8.0)
"""An epoch takes between these."""
FOLDER = "SIMULATION_FOLDER"
"""Environment variable: where all machines write down their steps."""


class FakeTrial(tune.Trainable):
    """In place of `search.backends.ray_worker.TuneTrial`: the same calls, the same results, no network."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the task."""
        self._task: Task = config[TASK]
        self._epoch = self._task.epochs_done

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's task."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, EpochDone]:
        """Sleep for an epoch."""
        began = time.time()
        self._epoch += 1
        rng = random.Random(f"{self._task.id} {self._epoch}")
        time.sleep(rng.uniform(*SECONDS))
        with open(Path(os.environ[FOLDER]) / f"steps-{socket.gethostname()}-{os.getpid()}.jsonl", "a") as file:
            file.write(json.dumps({"began": began, "ended": time.time()}) + "\n")
        params = self._task.params
        accuracy = (0.9 - abs(params["lr"] - 0.01) - 0.1 * rng.random()) * (1 - 0.5**self._epoch)
        metrics = {
            "train_loss": 1 - accuracy, "train_accuracy": accuracy, "val_loss": 1 - accuracy,
            "val_accuracy": accuracy, "lr": params["lr"], "epoch_seconds": time.time() - began,
            "images_per_second": 1e3, "peak_memory_mb": 1e2,
        }  # fmt: skip
        return {RESULT: EpochDone(epoch=self._epoch, metrics=metrics, finished=self._epoch >= params["epochs"])}
