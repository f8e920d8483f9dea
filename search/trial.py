"""One trial in a worker: a task in, an epoch's metrics out. Free of Ray; what is costly stays in the process."""

import math
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.dataset import DataSource
from trainables import own_code
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
    own_code: str | None = None
    """The folder of the user's own models and data sets, where they may be run."""


class TrialRun:
    """A trial being trained. torch is loaded at the first step, not before."""

    def __init__(self, task: Task):
        self.task = task
        self._epochs: Iterator[Any] | None = None

    def step(self) -> dict[str, Any]:
        """Train one epoch, save the state, return the metrics.

        The first step of a trial that has a checkpoint repeats that one's metrics: the driver may have
        died before it heard of them. An exception becomes `{"failure": traceback}`: a mistake in a model
        would only be repeated by a new worker.
        """
        try:
            if self._epochs is None:
                metrics = self._start()
                if metrics is not None:
                    return self._result(metrics)
            assert self._epochs is not None  # noqa: S101 (for the type checker: set by _start)
            metrics = next(self._epochs)
            self._state.save(Path(self.task.checkpoint))
            return self._result(metrics)
        except Exception:
            return {"failure": traceback.format_exc()}

    def _start(self) -> Any:
        """Build or load the state; the metrics of the last epoch done, if there is one."""
        import torch

        from trainables.loader import Loader
        from trainables.state import TrainState
        from trainables.train import train

        # More threads than cores spin: a step was seen to take 20 to 50 times as long.
        torch.set_num_threads(self.task.threads)
        device = torch.device(self.task.device)
        own_code.allow(self.task.own_code)
        self._config = config = TrainConfig.of(self.task.params)
        source = DataSource.of(self.task.data)
        data = source.load()
        parts = source.split(data, config.train_fraction)
        self._loader = Loader(parts, config, device)
        self._state = TrainState.create(config, data.input_shape, len(data.classes), device)
        if Path(self.task.checkpoint).exists():
            self._state.load(Path(self.task.checkpoint), device)
        self._epochs = train(config, self._loader, self._state)
        return self._state.metrics

    def _result(self, metrics: Any) -> dict[str, Any]:
        from trainables.evaluate import evaluate
        from trainables.train import finished

        result = asdict(metrics) | {"finished": finished(self._config, self._state)}
        if self.task.score_test and result["finished"] and math.isfinite(metrics.train_loss):
            loss, accuracy = evaluate(self._config, self._state.model, self._loader.test())
            result |= {"test_loss": loss, "test_accuracy": accuracy}
        return result
