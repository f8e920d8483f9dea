"""One trial in a worker: a task in, step results out. Free of Ray; what is costly stays in the process."""

import math
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from contract.formatting import first_line
from contract.metrics import TEST_ACCURACY, TEST_LOSS
from contract.steps import EpochDone, StateNotSaved, StepResult, TrialFailed
from search.trial.data_source import DataSource
from search.trial.saved_state import StateFile, StoredState
from search.trial.task import Task
from trainables import own_code
from trainables.config import TrainConfig


class TrialRun:
    """A trial being trained. torch is loaded at the first step, not before."""

    def __init__(self, task: Task):
        """Take the task; nothing starts before the first step."""
        self.task = task
        self._epochs: Iterator[Any] | None = None
        self._state: Any = None
        self._loader: Any = None
        self._micro_batch = task.micro_batch
        self._saved = StoredState(task.storage, task.checkpoint) if task.storage else StateFile(task.checkpoint)
        self._to_repeat: list[Any] = []
        """Metrics of epochs that are in the checkpoint and that the driver may not have."""
        self._reported = 0
        """The last epoch whose metrics were returned."""
        self._restore_notice = ""

    def step(self) -> StepResult:
        """Train one epoch, save the state, return the metrics.

        The first steps of a trial that has a checkpoint repeat what the driver may have died before it heard: the
        epochs that it does not have, at least the last. An exception is a result, for a mistake in a model would only
        be repeated by a new worker; so is a state that cannot be saved. A trial for which the device's memory does not
        suffice continues with a smaller micro-batch.
        """
        try:
            return self._step_in_memory()
        except Exception:
            return TrialFailed(traceback=traceback.format_exc())

    def _step_in_memory(self) -> StepResult:
        """A step, with ever smaller micro-batches as long as memory does not suffice."""
        import torch

        while True:
            try:
                return self._step()
            except torch.OutOfMemoryError as error:
                text = first_line(error)
            # Here, for the error holds on to the tensors that must go.
            self._halve_micro_batch(text)

    def _step(self) -> StepResult:
        if self._epochs is None:
            self._epochs, self._to_repeat = self._start()
        if self._to_repeat:
            return self._done(self._to_repeat.pop(0))
        metrics = next(self._epochs)
        try:
            self._saved.save(self._state)
        except OSError as error:
            return StateNotSaved(reason=f"{error.strerror or first_line(error)}: {self._saved}", **self._notices())
        return self._done(metrics)

    def _start(self) -> tuple[Iterator[Any], list[Any]]:
        """Build or load the state; the epochs to train, and the metrics of those that are to be repeated."""
        import torch

        from trainables.loader import Loader
        from trainables.state import TrainState
        from trainables.training import train

        _reset_process_state()
        # More threads than cores spin: a step was seen to take 20 to 50 times as long.
        torch.set_num_threads(self.task.threads)
        device = torch.device(self.task.device)
        own_code.allow(self.task.own_code)
        self._config = config = TrainConfig.from_params(self.task.params)
        source = DataSource.from_content(self.task.data)
        data = source.load()
        parts = source.split(data, config.train_fraction)
        self._loader = Loader(parts, config, device, self._micro_batch)
        self._state = TrainState.create(config, data.input_shape, len(data.classes), device)
        damaged = self._saved.restore(self._state, device)
        if damaged or self._state.epoch < (self._reported or self.task.epochs_done):
            self._restore_notice = _restore_notice("damaged" if damaged else "gone", self._state.epoch)
        known = max(self._reported, min(self.task.epochs_done, self._state.epoch - 1))
        return train(config, self._loader, self._state), self._state.history[known:]

    def _halve_micro_batch(self, error: str) -> None:
        """Let half as many images through the network at a time, from the last checkpoint on.

        Raises:
            MemoryError: there is nothing to halve.
        """
        import torch

        if self._epochs is None:
            raise MemoryError(f"the network does not fit into memory, whatever the batch size: {error}")
        if self._state.model.training:
            most = min(self._micro_batch or math.inf, self._config.batch_size, self._loader.n_train)
        else:
            most = self._loader.evaluation_batch
        if most == 1:
            raise MemoryError(f"out of memory even with one image at a time: {error}")
        self._micro_batch = math.ceil(most / 2)
        self._epochs = self._state = self._loader = None
        if self.task.device == "cuda":
            torch.cuda.empty_cache()

    def _notices(self) -> dict[str, Any]:
        """What a step says beside its result; the notice of a restore is said once."""
        notice, self._restore_notice = self._restore_notice, ""
        return {"restore_notice": notice, "micro_batch": self._micro_batch}

    def _done(self, epoch_metrics: Any) -> EpochDone:
        from trainables.evaluate import evaluate
        from trainables.training import finished

        metrics = asdict(epoch_metrics)
        epoch = metrics.pop("epoch")
        last = epoch == self._state.epoch and finished(self._config, self._state)
        if self.task.score_test and last and math.isfinite(epoch_metrics.train_loss):
            metrics[TEST_LOSS], metrics[TEST_ACCURACY] = evaluate(self._config, self._state.model, self._loader.test())
        self._reported = epoch
        return EpochDone(epoch=epoch, metrics=metrics, finished=last, **self._notices())


def _reset_process_state() -> None:
    """Undo what a model of the user's own may have set for the whole process; all that is random is seeded later."""
    import torch

    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def _restore_notice(what: str, epoch: int) -> str:
    return f"checkpoint {what}: " + (f"continues from epoch {epoch}" if epoch else "starts again from the beginning")
