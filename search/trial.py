"""One trial in a worker: a task in, an epoch's metrics out. Free of Ray; what is costly stays in the process."""

import math
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from search.dataset import DataSource
from search.saved_state import StateFile, StoredState
from trainables import own_code
from trainables.config import TrainConfig
from trainables.errors import first_line


@dataclass(frozen=True)
class Task:
    """All that a worker needs to train one trial, or to go on with it."""

    id: str
    params: dict[str, Any]
    data: dict[str, Any]
    """A `DataSource`'s content."""
    checkpoint: str
    """File that holds the state after each epoch; its name in the storage where there is one."""
    threads: int
    """And CPUs of the worker."""
    gpu: float = 0.0
    """GPUs of the worker."""
    device: str = "cpu"
    """`cpu` or `cuda`; Ray shows a worker only the GPUs that it was given."""
    score_test: bool = False
    epochs_done: int = 0
    """Of them the driver has heard; what the checkpoint lacks of them is trained again, and that is said."""
    images_a_pass: int | None = None
    """The most that may go through the network at once, for memory's sake; None: as many as are wanted."""
    storage: str | None = None
    """Address of the object store that holds the checkpoint, None for a file."""
    own_code: str | None = None
    """The folder of the user's own models and data sets, where they may be run."""


class TrialRun:
    """A trial being trained. torch is loaded at the first step, not before."""

    def __init__(self, task: Task):
        self.task = task
        self._epochs: Iterator[Any] | None = None
        self._state: Any = None
        self._loader: Any = None
        self._images_a_pass = task.images_a_pass
        self._saved = StoredState(task.storage, task.checkpoint) if task.storage else StateFile(task.checkpoint)
        self._untold: list[Any] = []
        self._reported = 0
        """The last epoch whose metrics were returned."""
        self._loss = ""

    def step(self) -> dict[str, Any]:
        """Train one epoch, save the state, return the metrics.

        The first steps of a trial that has a checkpoint tell again what the driver may have died before it
        heard of: the epochs that it does not know, at least the last. An exception becomes `{"failure":
        traceback}`: a mistake in a model would only be repeated by a new worker. A state that cannot be saved is
        no failure of the trial: `{"unsaved": reason}`. What of a checkpoint was lost is said once, under `lost`; a
        trial for which the device's memory does not suffice goes on with fewer `images_a_pass`, and says how many.
        """
        try:
            return self._fitting_step() | self._said()
        except Exception:
            return {"failure": traceback.format_exc()}

    def _fitting_step(self) -> dict[str, Any]:
        """A step, with ever fewer images at a time as long as memory does not suffice."""
        import torch

        while True:
            try:
                return self._step()
            except torch.OutOfMemoryError as error:
                said = first_line(error)
            # Here, for the error holds on to the tensors that must go.
            self._halve(said)

    def _step(self) -> dict[str, Any]:
        if self._epochs is None:
            self._untold = self._start()
        if self._untold:
            return self._result(self._untold.pop(0))
        assert self._epochs is not None  # noqa: S101 (for the type checker: set by _start)
        metrics = next(self._epochs)
        try:
            self._saved.save(self._state)
        except OSError as error:
            return {"unsaved": f"{error.strerror or first_line(error)}: {self._saved}"}
        return self._result(metrics)

    def _start(self) -> list[Any]:
        """Build or load the state; the metrics of the epochs done that are to be told (again)."""
        import torch

        from trainables.loader import Loader
        from trainables.state import TrainState
        from trainables.train import train

        _forget_earlier_trials()
        # More threads than cores spin: a step was seen to take 20 to 50 times as long.
        torch.set_num_threads(self.task.threads)
        device = torch.device(self.task.device)
        own_code.allow(self.task.own_code)
        self._config = config = TrainConfig.of(self.task.params)
        source = DataSource.of(self.task.data)
        data = source.load()
        parts = source.split(data, config.train_fraction)
        self._loader = Loader(parts, config, device, self._images_a_pass)
        self._state = TrainState.create(config, data.input_shape, len(data.classes), device)
        damaged = self._saved.restore(self._state, device)
        if damaged or self._state.epoch < (self._reported or self.task.epochs_done):
            self._loss = _loss("damaged" if damaged else "gone", self._state.epoch)
        self._epochs = train(config, self._loader, self._state)
        known = max(self._reported, min(self.task.epochs_done, self._state.epoch - 1))
        return self._state.history[known:]

    def _halve(self, said: str) -> None:
        """Let half as many images through the network at a time, from the last checkpoint on.

        Raises:
            MemoryError: there is nothing to halve.
        """
        import torch

        if self._epochs is None:
            raise MemoryError(f"the network does not fit into memory, whatever the batch size: {said}")
        if self._state.model.training:
            most = min(self._images_a_pass or math.inf, self._config.batch_size, self._loader.n_train)
        else:
            most = self._loader.evaluation_batch
        if most == 1:
            raise MemoryError(f"out of memory even with one image at a time: {said}")
        self._images_a_pass = math.ceil(most / 2)
        self._epochs = self._state = self._loader = None
        if self.task.device == "cuda":
            torch.cuda.empty_cache()

    def _said(self) -> dict[str, Any]:
        """What a step says beside its metrics."""
        said: dict[str, Any] = {"lost": self._loss} if self._loss else {}
        self._loss = ""
        return said | ({"images_a_pass": self._images_a_pass} if self._images_a_pass else {})

    def _result(self, metrics: Any) -> dict[str, Any]:
        from trainables.evaluate import evaluate
        from trainables.train import finished

        last = metrics.epoch == self._state.epoch
        result = asdict(metrics) | {"finished": last and finished(self._config, self._state)}
        if self.task.score_test and result["finished"] and math.isfinite(metrics.train_loss):
            loss, accuracy = evaluate(self._config, self._state.model, self._loader.test())
            result |= {"test_loss": loss, "test_accuracy": accuracy}
        self._reported = metrics.epoch
        return result


def _forget_earlier_trials() -> None:
    """Undo what a model of the user's own may have set for the whole process; all that is random is seeded later."""
    import torch

    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def _loss(what: str, epoch: int) -> str:
    return f"checkpoint {what}: " + (f"goes on from epoch {epoch}" if epoch else "begins anew")
