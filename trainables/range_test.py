"""Learning-rate range test (Smith 2017, section 3.3): the loss while lr is raised exponentially, step by step."""

import math
from dataclasses import dataclass
from itertools import count

import numpy as np

from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.optimizers import set_lr
from trainables.state import TrainState
from trainables.training import train_step

HOPELESS = 4.0
"""The test ends once the running mean of the loss is so many times its least value so far."""
RUNNING = 0.9
"""Of the running mean: what is kept at each step."""
WIDTH = 50
"""The smoothing kernel's standard deviation is so small a part of the steps."""


@dataclass(frozen=True)
class RangeTest:
    """One test; the arrays have an entry a step, fewer than were planned if the loss grew without bounds."""

    lrs: np.ndarray
    losses: np.ndarray
    """Of each step's batch, before the step."""

    @property
    def smoothed(self) -> np.ndarray:
        """The losses under a Gaussian kernel, which looks both ways: a running mean would lag behind lr."""
        steps = np.arange(len(self.losses))
        sigma = max(1.0, len(steps) / WIDTH)
        kernel = np.exp(-((steps[:, None] - steps) ** 2) / (2 * sigma**2))
        return kernel @ self.losses / kernel.sum(1)

    @property
    def lowest(self) -> float:
        """lr at the least smoothed loss: beyond it training comes apart."""
        return float(self.lrs[int(self.smoothed.argmin())])

    @property
    def steepest(self) -> float:
        """The suggested lr: where the smoothed loss falls fastest against log lr, before its minimum."""
        smoothed = self.smoothed
        until = int(smoothed.argmin()) + 1
        if until < 3:
            return self.lowest
        slope = np.gradient(smoothed, np.log(self.lrs))
        return float(self.lrs[int(slope[:until].argmin())])

    @property
    def range(self) -> tuple[float, float]:
        """What to search: from a tenth of the suggestion to the lr of the least loss."""
        return self.steepest / 10, max(self.lowest, self.steepest)


def lr_range(
    config: TrainConfig, loader: Loader, state: TrainState, *, low: float, high: float, steps: int
) -> RangeTest:
    """Train for so many steps, lr rising from `low` to `high`; the schedule of the configuration is not followed."""
    state.model.train()
    lrs = np.geomspace(low, high, steps)
    losses: list[float] = []
    mean, least = 0.0, math.inf
    batches = (batch for epoch in count() for batch in loader.training(epoch))
    for step, (lr, (images, labels)) in enumerate(zip(lrs, batches, strict=False), 1):
        set_lr(state.optimizer, float(lr))
        loss = train_step(config, state, images, labels)[0].item()
        if not math.isfinite(loss):
            break
        losses.append(loss)
        mean = RUNNING * mean + (1 - RUNNING) * loss
        unbiased = mean / (1 - RUNNING**step)
        least = min(least, unbiased)
        if unbiased > HOPELESS * least:
            break
    return RangeTest(lrs[: len(losses)], np.array(losses))
