"""One training run: an iterator of epochs. `python -m trainables.train --help` runs it alone."""

import math
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from trainables.config import TrainConfig
from trainables.evaluate import evaluate
from trainables.loader import LAYERS, Loader, seed_for
from trainables.lr_schedules import lr_at
from trainables.memory import peak_mb, reset_peak
from trainables.optimizers import set_lr
from trainables.state import EpochMetrics, TrainState


def train(config: TrainConfig, loader: Loader, state: TrainState) -> Iterator[EpochMetrics]:
    """Train from where `state` stands to the configuration's last epoch, yielding each epoch's metrics.

    `state` is changed in place and may be saved after each epoch. The iterator ends early after an
    epoch whose loss is not finite: nothing can be learned from there on.
    """
    reset_peak(loader.device)
    while state.epoch < config.epochs and (state.metrics is None or math.isfinite(state.metrics.train_loss)):
        state.metrics = _train_epoch(config, loader, state)
        state.epoch += 1
        yield state.metrics


def autocast_for(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Mixed precision as the configuration wants it on this device."""
    auto = config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=auto or config.precision == "bfloat16")


def train_step(
    state: TrainState, images: torch.Tensor, labels: torch.Tensor, autocast: torch.autocast
) -> tuple[torch.Tensor, torch.Tensor]:
    """One optimizer step: the batch's mean loss and number of right answers, left on the device."""
    with autocast:
        logits = state.model(images)
        loss = F.cross_entropy(logits, labels)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    return loss.detach(), (logits.detach().argmax(1) == labels).sum()


def _train_epoch(config: TrainConfig, loader: Loader, state: TrainState) -> EpochMetrics:
    start = time.perf_counter()
    torch.manual_seed(seed_for(config, LAYERS, state.epoch))
    autocast = autocast_for(config, loader.device)
    state.model.train()
    # Sums stay on the device: reading one a step would stall a GPU.
    loss_sum = torch.zeros((), device=loader.device)
    correct = torch.zeros((), dtype=torch.long, device=loader.device)
    count, lr = 0, 0.0
    for step, (images, labels) in enumerate(loader.training(state.epoch)):
        lr = lr_at(config, state.epoch + step / len(loader))
        set_lr(state.optimizer, lr)
        loss, right = train_step(state, images, labels, autocast)
        loss_sum += loss * len(labels)
        correct += right
        count += len(labels)
    train_loss, train_accuracy = loss_sum.item() / count, correct.item() / count
    trained = time.perf_counter()
    val_loss, val_accuracy = evaluate(state.model, loader.validation(), autocast)
    return EpochMetrics(
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


if __name__ == "__main__":
    from trainables.command import main

    main()
