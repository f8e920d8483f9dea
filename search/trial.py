"""One trial in a worker: a task in, an epoch's metrics out. Free of Ray; what is costly stays in the process."""

import math
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.dataset import DataSource
from trainables.config import TrainConfig


@dataclass(frozen=True)
class Task:
    """All that a worker needs to train one trial, or to go on with it."""

    id: str
    params: dict[str, Any]
    data: dict[str, Any]
    """A `DataSource`'s content."""
    checkpoint: str
    """File that holds the state after each epoch."""
    threads: int
    device: str = "cpu"
    """`cpu` or `cuda`; Ray shows a worker only the GPUs that it was given."""
    score_test: bool = False
    epochs_done: int = 0
    """Of them the driver has heard; what the checkpoint lacks of them is trained again, and that is said."""


class TrialRun:
    """A trial being trained. torch is loaded at the first step, not before."""

    def __init__(self, task: Task):
        self.task = task
        self._epochs: Iterator[Any] | None = None
        self._loss = ""

    def step(self) -> dict[str, Any]:
        """Train one epoch, save the state, return the metrics.

        The first step of a trial that has a checkpoint repeats that one's metrics: the driver may have
        died before it heard of them. An exception becomes `{"failure": traceback}`: a mistake in a model
        would only be repeated by a new worker. A state that cannot be saved is no failure of the trial:
        `{"unsaved": reason}`. What of a checkpoint was lost is said once, under `lost`.
        """
        try:
            return self._step() | self._lost()
        except Exception:
            return {"failure": traceback.format_exc()}

    def _step(self) -> dict[str, Any]:
        if self._epochs is None:
            metrics = self._start()
            if metrics is not None:
                return self._result(metrics)
        assert self._epochs is not None  # noqa: S101 (for the type checker: set by _start)
        metrics = next(self._epochs)
        try:
            self._state.save(Path(self.task.checkpoint))
        except OSError as error:
            return {"unsaved": f"{error.strerror}: {Path(self.task.checkpoint).parent}"}
        return self._result(metrics)

    def _start(self) -> Any:
        """Build or load the state; the metrics of the last epoch done, if there is one."""
        import torch

        from trainables.loader import Loader
        from trainables.state import TrainState
        from trainables.train import train

        # More threads than cores spin: a step was seen to take 20 to 50 times as long.
        torch.set_num_threads(self.task.threads)
        device = torch.device(self.task.device)
        self._config = config = TrainConfig.of(self.task.params)
        source = DataSource.of(self.task.data)
        data = source.load()
        parts = source.split(data, config.train_fraction)
        self._loader = Loader(parts, config, device)
        self._state = TrainState.create(config, data.input_shape, len(data.classes), device)
        damaged = self._state.restore(Path(self.task.checkpoint), device)
        if damaged or self._state.epoch < self.task.epochs_done:
            self._loss = _loss("damaged" if damaged else "gone", self._state.epoch)
        self._epochs = train(config, self._loader, self._state)
        return self._state.metrics

    def _lost(self) -> dict[str, str]:
        text, self._loss = self._loss, ""
        return {"lost": text} if text else {}

    def _result(self, metrics: Any) -> dict[str, Any]:
        from trainables.evaluate import evaluate
        from trainables.train import finished

        result = asdict(metrics) | {"finished": finished(self._config, self._state)}
        if self.task.score_test and result["finished"] and math.isfinite(metrics.train_loss):
            loss, accuracy = evaluate(self._config, self._state.model, self._loader.test())
            result |= {"test_loss": loss, "test_accuracy": accuracy}
        return result


def _loss(what: str, epoch: int) -> str:
    return f"checkpoint {what}: " + (f"goes on from epoch {epoch}" if epoch else "begins anew")
