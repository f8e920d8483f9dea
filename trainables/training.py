"""One training run: an iterator of epochs. `python -m trainables.train --help` runs it alone."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import nn

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
"""Steps between two looks at whether the loss is finite: each makes a GPU wait, and so many too many cost little."""


def train(config: TrainConfig, loader: Loader, state: TrainState) -> Iterator[EpochMetrics]:
    """Train from where `state` stands to the configuration's last epoch, yielding each epoch's metrics.

    `state` is changed in place and may be saved after each epoch. The iterator ends early where early
    stopping says so, and after an epoch whose loss is not finite: nothing can be learned from there on.
    """
    reset_peak(loader.device)
    while not finished(config, state):
        yield _train_epoch(config, loader, state)


def finished(config: TrainConfig, state: TrainState) -> bool:
    """Whether there is no further epoch to train."""
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
    """One optimizer step: the batch's mean loss and number of right answers, left on the device.

    With `micro_batch` the batch goes through in parts of at most so many images, whose gradients add up to the
    batch's: the same step to rounding, in less memory. Two layers tell the difference: batch normalisation
    takes its statistics from each part, and dropout draws part by part.
    """
    state.optimizer.zero_grad(set_to_none=True)
    losses, right = [], []
    for part, answers in _micro_batches(images, labels, micro_batch):
        with autocast_for(config, images.device):
            logits = state.model(part)
            loss = training_loss(config, logits, answers)
        if len(part) < len(images):
            loss = loss * (len(part) / len(images))
        loss.backward()
        losses.append(loss.detach())
        right.append((logits.detach().argmax(1) == answers).sum())
    if config.clip_norm:
        nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_norm)
    state.optimizer.step()
    return sum(losses[1:], losses[0]), sum(right[1:], right[0])


def _micro_batches(images: torch.Tensor, labels: torch.Tensor, micro_batch: int | None) -> Iterable[Batch]:
    if not micro_batch or len(images) <= micro_batch:
        return [(images, labels)]
    parts = math.ceil(len(images) / micro_batch)
    return zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True)


def _train_epoch(config: TrainConfig, loader: Loader, state: TrainState) -> EpochMetrics:
    start = time.perf_counter()
    torch.manual_seed(seed_for(config, LAYERS, state.epoch))
    state.model.train()
    # Sums stay on the device: reading one a step would stall a GPU.
    loss_sum = torch.zeros((), device=loader.device)
    correct = torch.zeros((), dtype=torch.long, device=loader.device)
    count, lr = 0, 0.0
    for step, (images, labels) in enumerate(loader.training(state.epoch)):
        lr = lr_at(config, state.epoch + step / len(loader))
        set_lr(state.optimizer, lr)
        loss, right = train_step(config, state, images, labels, loader.micro_batch)
        loss_sum.add_(loss, alpha=len(labels))
        correct += right
        count += len(labels)
        if step % FINITE_CHECK_STEPS == FINITE_CHECK_STEPS - 1 and not math.isfinite(loss_sum.item()):
            break
    train_loss, train_accuracy = loss_sum.item() / count, correct.item() / count
    trained = time.perf_counter()
    # The accuracy of a network that has come apart would mislead: among scores that are no numbers one still wins.
    val_loss = val_accuracy = math.nan
    if math.isfinite(train_loss):
        val_loss, val_accuracy = evaluate(config, state.model, loader.validation())
    metrics = EpochMetrics(
        epoch=state.epoch + 1,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        lr=lr,
        epoch_seconds=time.perf_counter() - start,
        images_per_second=count / (trained - start),
        peak_memory_mb=peak_mb(loader.device),
    )
    _advance(config, state, metrics)
    if config.refit_last_layer and finished(config, state) and math.isfinite(train_loss):
        refit_last_layer(state.model, loader)
        val_loss, val_accuracy = evaluate(config, state.model, loader.validation())
        seconds = time.perf_counter() - start
        metrics = replace(metrics, val_loss=val_loss, val_accuracy=val_accuracy, epoch_seconds=seconds)
        state.history[-1] = metrics
    return metrics


def _advance(config: TrainConfig, state: TrainState, metrics: EpochMetrics) -> None:
    """Count the epoch, and note whether what early stopping watches has improved."""
    state.epoch = metrics.epoch
    state.history.append(metrics)
    if config.early_stopping == "none":
        return
    sign = -1 if config.early_stopping == "val_accuracy" else 1
    value = sign * getattr(metrics, config.early_stopping)
    if value < state.best_value - config.tolerance:
        state.best_value, state.best_epoch = value, metrics.epoch
