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

DIVERGENCE_FACTOR = 4.0
"""The test ends once the running mean of the loss is so many times its lowest value so far."""
RUNNING_MEAN_DECAY = 0.9
"""The part of the running mean that is kept at each step."""
WIDTHS_PER_TEST = 50
"""The steps of a test, in standard deviations of the kernel that smooths the losses."""


@dataclass(frozen=True)
class RangeTest:
    """One test; the arrays have an entry for each step, fewer than were planned if the loss grew without bounds."""

    lrs: np.ndarray
    """The learning rate of each step."""
    losses: np.ndarray
    """The loss of each step's batch, before the step."""

    @property
    def smoothed(self) -> np.ndarray:
        """The losses under a Gaussian kernel, which looks both ways: a running mean would lag behind lr."""
        steps = np.arange(len(self.losses))
        sigma = max(1.0, len(steps) / WIDTHS_PER_TEST)
        kernel = np.exp(-((steps[:, None] - steps) ** 2) / (2 * sigma**2))
        smoothed: np.ndarray = kernel @ self.losses / kernel.sum(1)
        return smoothed

    @property
    def lowest(self) -> float:
        """The lr of the lowest smoothed loss: beyond it training diverges."""
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
        """The range to search: from a tenth of the suggestion to the lr of the lowest loss."""
        return self.steepest / 10, max(self.lowest, self.steepest)


def lr_range(
    config: TrainConfig, loader: Loader, state: TrainState, *, low: float, high: float, steps: int
) -> RangeTest:
    """Train for `steps` steps, lr rising from `low` to `high`; the schedule of the configuration is not followed."""
    state.model.train()
    lrs = np.geomspace(low, high, steps)
    losses: list[float] = []
    mean, lowest = 0.0, math.inf
    batches = (batch for epoch in count() for batch in loader.training(epoch))
    for step, (lr, (images, labels)) in enumerate(zip(lrs, batches, strict=False), 1):
        set_lr(state.optimizer, float(lr))
        loss = train_step(config, state, images, labels)[0].item()
        if not math.isfinite(loss):
            break
        losses.append(loss)
        mean = RUNNING_MEAN_DECAY * mean + (1 - RUNNING_MEAN_DECAY) * loss
        unbiased = mean / (1 - RUNNING_MEAN_DECAY**step)
        lowest = min(lowest, unbiased)
        if unbiased > DIVERGENCE_FACTOR * lowest:
            break
    return RangeTest(lrs[: len(losses)], np.array(losses))
