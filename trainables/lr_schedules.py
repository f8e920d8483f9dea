"""Learning rate as a pure function of time, so that a resumed run needs no schedule state."""

import math

from trainables.config import TrainConfig


def lr_at(config: TrainConfig, time: float) -> float:
    """The learning rate of a step.

    Args:
        time: epochs since the start, with fractions: step i of n in epoch e (from 0) is at e + i / n.
    """
    floor = min(config.lr_floor, config.lr)
    lr = {"step": _step, "cosine": _cosine, "constant": _constant}[config.schedule](config, time, floor)
    if time < config.warmup_epochs:
        lr *= time / config.warmup_epochs
    return lr


def _step(config: TrainConfig, time: float, floor: float) -> float:
    return max(config.lr * config.decay_factor ** (int(time) // config.decay_interval), floor)


def _cosine(config: TrainConfig, time: float, floor: float) -> float:
    """Half a cosine from lr to the floor over all epochs (Loshchilov & Hutter 2017, without restarts)."""
    return floor + (config.lr - floor) * (1 + math.cos(math.pi * min(time / config.epochs, 1))) / 2


def _constant(config: TrainConfig, time: float, floor: float) -> float:
    return config.lr
