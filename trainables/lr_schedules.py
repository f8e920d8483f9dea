"""The learning rate as a pure function of time, so that a resumed run needs no state of a schedule."""

import math

from trainables.config import TrainConfig


def lr_at(config: TrainConfig, time: float) -> float:
    """Compute the learning rate of a step.

    Args:
        config: names the schedule and its parameters.
        time: epochs since the start, with fractions: step i of n in epoch e (from 0) is at e + i / n.
    """
    floor = min(config.lr_floor, config.lr)
    lr = SCHEDULE[config.schedule](config, time, floor)
    if time < config.warmup_epochs:
        lr *= time / config.warmup_epochs
    return lr


def _step(config: TrainConfig, time: float, floor: float) -> float:
    return _decayed(config, time, floor, config.decay_factor)


def _halving(config: TrainConfig, time: float, floor: float) -> float:
    return _decayed(config, time, floor, 0.5)


def _decayed(config: TrainConfig, time: float, floor: float, factor: float) -> float:
    return max(config.lr * factor ** (int(time) // config.decay_interval), floor)


def _cosine(config: TrainConfig, time: float, floor: float) -> float:
    """Follow half a cosine from lr to the floor over all epochs (Loshchilov & Hutter 2017, without restarts)."""
    return _cosine_between(config.lr, floor, min(time / config.epochs, 1))


def _one_cycle(config: TrainConfig, time: float, _floor: float) -> float:
    """Rise to lr, then fall to nearly 0, along half cosines (Smith & Topin 2018; the proportions are PyTorch's)."""
    first, last, peak = config.lr / 25, config.lr / 25e4, 0.3 * config.epochs
    if time < peak:
        return _cosine_between(first, config.lr, time / peak)
    return _cosine_between(config.lr, last, min((time - peak) / (config.epochs - peak), 1))


def _cosine_between(start: float, end: float, part: float) -> float:
    """Return the value at a part (0..1) of the way from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _constant(config: TrainConfig, _time: float, _floor: float) -> float:
    return config.lr


SCHEDULE = {"constant": _constant, "cosine": _cosine, "halving": _halving, "one_cycle": _one_cycle, "step": _step}
