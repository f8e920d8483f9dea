"""One training run: an iterator of epochs. `python -m trainables.train --help` runs it alone."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from contract.metrics import VAL_ACCURACY
from trainables.config import TrainConfig
from trainables.epoch_metrics import EpochMetrics
from trainables.evaluate import evaluate
from trainables.loader import LAYERS, Batch, Loader, seed_for
from trainables.losses import training_loss
from trainables.lr_schedules import lr_at
from trainables.optimizers import set_lr
from trainables.peak_memory import peak_mb, reset_peak
from trainables.precision import autocast_for
from trainables.refit import refit_last_layer
from trainables.state import TrainState

FINITE_CHECK_STEPS = 64
"""Steps between two checks whether the loss is finite: each makes a GPU wait, and so many wasted steps cost little."""


def train(config: TrainConfig, loader: Loader, state: TrainState) -> Iterator[EpochMetrics]:
    """Train from where `state` stands to the configuration's last epoch, yielding each epoch's metrics.

    `state` is changed in place and may be saved after each epoch. The iterator ends early where early
    stopping says so, and after an epoch whose loss is not finite: nothing can be learned from there on.
    """
    reset_peak(loader.device)
    while not finished(config, state):
        yield _train_epoch(config, loader, state)


def finished(config: TrainConfig, state: TrainState) -> bool:
    """Say whether a run has no further epoch to train."""
    if state.metrics is None:
        return False
    stopped_early = config.early_stopping != "none" and state.epoch - state.best_epoch >= config.patience
    return state.epoch >= config.epochs or stopped_early or not math.isfinite(state.metrics.train_loss)


def train_step(
    config: TrainConfig,
    state: TrainState,
    images: torch.Tensor,
    labels: torch.Tensor,
    micro_batch: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do one optimizer step.

    With a micro-batch the step is the same to rounding, in less memory, for the gradients of the parts add up to those
    of the batch. Two layers notice: batch normalisation takes its statistics from each part, and dropout draws
    part by part.

    Args:
        config: the configuration of the run.
        state: its model and optimizer are changed.
        images: float32 [B, C, H, W].
        labels: int64 [B].
        micro_batch: images that may go through the network at once, None for the whole batch.

    Returns:
        The batch's mean loss and its number of correct predictions, left on the device: reading one makes a GPU wait.
    """
    state.optimizer.zero_grad(set_to_none=True)
    losses, correct = [], []
    for part, targets in _micro_batches(images, labels, micro_batch):
        with autocast_for(config, images.device):
            logits = state.model(part)
            loss = training_loss(config, logits, targets)
        if len(part) < len(images):
            loss = loss * (len(part) / len(images))
        torch.autograd.backward(loss)
        losses.append(loss.detach())
        correct.append((logits.detach().argmax(1) == targets).sum())
    if config.clip_norm:
        nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_norm)
    state.optimizer.step()
    return sum(losses[1:], losses[0]), sum(correct[1:], correct[0])


def _micro_batches(images: torch.Tensor, labels: torch.Tensor, micro_batch: int | None) -> Iterable[Batch]:
    if not micro_batch or len(images) <= micro_batch:
        return [(images, labels)]
    parts = math.ceil(len(images) / micro_batch)
    return zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True)


def _train_epoch(config: TrainConfig, loader: Loader, state: TrainState) -> EpochMetrics:
    """Train and evaluate one epoch, and refit the last layer after the last one if the configuration says so."""
    start = time.perf_counter()
    torch.manual_seed(seed_for(config, LAYERS, state.epoch))
    trained = _train_batches(config, loader, state)
    images_per_second = trained.count / (time.perf_counter() - start)
    # The accuracy of a diverged network would mislead: among scores that are not numbers one still wins.
    val_loss = val_accuracy = math.nan
    if math.isfinite(trained.loss):
        val_loss, val_accuracy = evaluate(config, state.model, loader.validation())
    metrics = EpochMetrics(
        epoch=state.epoch + 1,
        train_loss=trained.loss,
        train_accuracy=trained.accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        lr=trained.lr,
        epoch_seconds=time.perf_counter() - start,
        images_per_second=images_per_second,
        peak_memory_mb=peak_mb(loader.device),
    )
    _advance(config, state, metrics)
    if config.refit_last_layer and finished(config, state) and math.isfinite(trained.loss):
        refit_last_layer(state.model, loader)
        val_loss, val_accuracy = evaluate(config, state.model, loader.validation())
        seconds = time.perf_counter() - start
        metrics = replace(metrics, val_loss=val_loss, val_accuracy=val_accuracy, epoch_seconds=seconds)
        state.history[-1] = metrics
    return metrics


@dataclass(frozen=True)
class _Trained:
    """Results of the training batches of an epoch."""

    loss: float
    accuracy: float
    lr: float
    """The learning rate of the last step."""
    count: int
    """Images that were trained on."""


def _train_batches(config: TrainConfig, loader: Loader, state: TrainState) -> _Trained:
    """Do the steps of one epoch, fewer if the loss is no longer finite."""
    state.model.train()
    # Sums stay on the device: reading one at each step would stall a GPU.
    loss_sum = torch.zeros((), device=loader.device)
    correct_sum = torch.zeros((), dtype=torch.long, device=loader.device)
    count, lr = 0, 0.0
    for step, (images, labels) in enumerate(loader.training(state.epoch)):
        lr = lr_at(config, state.epoch + step / len(loader))
        set_lr(state.optimizer, lr)
        loss, correct = train_step(config, state, images, labels, loader.micro_batch)
        loss_sum.add_(loss, alpha=len(labels))
        correct_sum += correct
        count += len(labels)
        if step % FINITE_CHECK_STEPS == FINITE_CHECK_STEPS - 1 and not math.isfinite(loss_sum.item()):
            break
    return _Trained(loss_sum.item() / count, correct_sum.item() / count, lr, count)


def _advance(config: TrainConfig, state: TrainState, metrics: EpochMetrics) -> None:
    """Count the epoch, and note whether what early stopping watches has improved."""
    state.epoch = metrics.epoch
    state.history.append(metrics)
    if config.early_stopping == "none":
        return
    sign = -1 if config.early_stopping == VAL_ACCURACY else 1
    value = sign * getattr(metrics, config.early_stopping)
    if value < state.best_value - config.tolerance:
        state.best_value, state.best_epoch = value, metrics.epoch
