"""Learning rate as a pure function of time, so that a resumed run needs no schedule state."""

import math

from trainables.config import TrainConfig


def lr_at(config: TrainConfig, time: float) -> float:
    """The learning rate of a step.

    Args:
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
    """Half a cosine from lr to the floor over all epochs (Loshchilov & Hutter 2017, without restarts)."""
    return _between(config.lr, floor, min(time / config.epochs, 1))


def _one_cycle(config: TrainConfig, time: float, floor: float) -> float:
    """Up to lr, then down to nearly 0, both along half a cosine (Smith & Topin 2018; the proportions are PyTorch's)."""
    first, last, peak = config.lr / 25, config.lr / 25e4, 0.3 * config.epochs
    if time < peak:
        return _between(first, config.lr, time / peak)
    return _between(config.lr, last, min((time - peak) / (config.epochs - peak), 1))


def _between(start: float, end: float, part: float) -> float:
    """From `start` at part 0 to `end` at part 1 along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _constant(config: TrainConfig, time: float, floor: float) -> float:
    return config.lr


SCHEDULE = {"constant": _constant, "cosine": _cosine, "halving": _halving, "one_cycle": _one_cycle, "step": _step}
