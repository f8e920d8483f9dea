"""The learning-rate range test on losses whose best rate is known, and on a network."""

import numpy as np
import pytest
import torch
from made_data import made_split

from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.range_test import RangeTest, lr_range
from trainables.state import TrainState

torch.set_num_threads(1)
CPU = torch.device("cpu")


def made(fall_at: float, rise_at: float, noise: float = 0.0, n: int = 300) -> RangeTest:
    """A loss that falls around one rate and rises from another on."""
    lrs = np.geomspace(1e-6, 10, n)
    at = np.log10(lrs)
    losses = 2.3 - 1.5 / (1 + np.exp(-6 * (at - np.log10(fall_at)))) + np.exp(4 * (at - np.log10(rise_at)))
    return RangeTest(lrs, losses + noise * np.random.default_rng(0).standard_normal(n))


@pytest.mark.parametrize("fall_at", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("noise", [0, 0.05])
def test_the_suggestion_is_where_the_loss_falls_fastest(fall_at, noise):
    test = made(fall_at, 1.0, noise)
    assert fall_at / 2 < test.steepest < fall_at * 2
    assert test.steepest < test.lowest < 1.0


def test_the_range_reaches_from_below_the_suggestion_to_the_least_loss():
    test = made(1e-3, 1.0)
    low, high = test.range
    assert low == pytest.approx(test.steepest / 10)
    assert high == test.lowest


def test_smoothing_does_not_lag():
    step = np.where(np.arange(300) < 150, 2.0, 1.0)
    smoothed = RangeTest(np.geomspace(1e-6, 10, 300), step).smoothed
    assert smoothed[149] + smoothed[150] == pytest.approx(3.0)
    assert smoothed[0] == pytest.approx(2.0)
    assert smoothed[-1] == pytest.approx(1.0)


def test_a_loss_that_only_rises_suggests_its_first_rate():
    test = RangeTest(np.geomspace(1e-3, 10, 50), np.linspace(1, 9, 50))
    assert test.steepest == test.lowest == pytest.approx(1e-3)


def run(config: TrainConfig, **options) -> tuple[RangeTest, TrainState]:
    parts = made_split(per_class=40)
    loader = Loader(parts, config, CPU)
    state = TrainState.create(config, parts.data.input_shape, 3, CPU)
    return lr_range(config, loader, state, **{"low": 1e-5, "high": 1.0, "steps": 60} | options), state


def test_rates_rise_exponentially_over_several_epochs():
    test, state = run(TrainConfig(model="lenet", batch_size=16, epochs=1), high=1e-2)
    assert len(test.losses) == 60
    assert test.lrs == pytest.approx(np.geomspace(1e-5, 1e-2, 60))
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2)
    assert test.losses[-10:].mean() < test.losses[:10].mean()


def test_it_ends_when_the_loss_comes_apart():
    test, _ = run(TrainConfig(model="lenet", batch_size=16, optimizer="sgd"), high=1e6, steps=200)
    assert len(test.lrs) == len(test.losses) < 200
    assert np.isfinite(test.losses).all()


def test_the_seed_decides_it():
    config = TrainConfig(model="lenet", batch_size=16, augment="flip")
    assert np.array_equal(run(config)[0].losses, run(config)[0].losses)
