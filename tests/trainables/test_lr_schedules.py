import pytest
import torch
from torch.optim import lr_scheduler

from trainables.config import SCHEDULES, TrainConfig
from trainables.lr_schedules import SCHEDULE, lr_at

torch.set_num_threads(1)


def lrs(times, **params) -> list[float]:
    config = TrainConfig(**params)
    return [lr_at(config, time) for time in times]


def torch_lrs(n: int, scheduler, **options) -> list[float]:
    """What a scheduler of torch's gives for n steps with the base learning rate 0.3."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedule, result = scheduler(optimizer, **options), []
    for _ in range(n - 1):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*result, optimizer.param_groups[0]["lr"]]


def test_every_known_name_has_a_function():
    assert set(SCHEDULE) == set(SCHEDULES)


def test_step_is_torch_s():
    ours = lrs(range(20), schedule="step", lr=0.3, decay_interval=3, decay_factor=0.4)
    assert ours == pytest.approx(torch_lrs(20, lr_scheduler.StepLR, step_size=3, gamma=0.4))


@pytest.mark.parametrize("interval", [1, 4])
def test_halving_is_torch_s_step_by_one_half(interval):
    ours = lrs(range(20), schedule="halving", lr=0.3, decay_interval=interval, decay_factor=0.1)
    assert ours == pytest.approx(torch_lrs(20, lr_scheduler.StepLR, step_size=interval, gamma=0.5))


@pytest.mark.parametrize("floor", [0.0, 0.02])
def test_cosine_is_torch_s(floor):
    ours = lrs([i / 5 for i in range(51)], schedule="cosine", lr=0.3, epochs=10, lr_floor=floor)
    assert ours == pytest.approx(torch_lrs(51, lr_scheduler.CosineAnnealingLR, T_max=50, eta_min=floor), abs=1e-12)


ONE_CYCLE = {"max_lr": 0.3, "pct_start": 0.3, "anneal_strategy": "cos", "cycle_momentum": False}


def one_cycle_lrs(epochs: int, steps: int) -> list[float]:
    return torch_lrs(epochs * steps, lr_scheduler.OneCycleLR, total_steps=epochs * steps, **ONE_CYCLE)


@pytest.mark.parametrize(("epochs", "steps"), [(10, 200), (3, 400)])
def test_one_cycle_is_torch_s(epochs, steps):
    """To within the one step by which torch counts its phases shorter."""
    ours = lrs([i / steps for i in range(epochs * steps)], schedule="one_cycle", lr=0.3, epochs=epochs)
    assert ours == pytest.approx(one_cycle_lrs(epochs, steps), abs=0.3 * 0.005)


@pytest.mark.parametrize(("epochs", "steps"), [(10, 20), (1, 50)])
def test_one_cycle_has_torch_s_shape_exactly(epochs, steps):
    peak, last = 0.3 * epochs * steps - 1, epochs * steps - 1
    times = [
        0.3 * i / peak if i <= peak else 0.3 + 0.7 * (i - peak) / (last - peak)  # part of the run
        for i in range(last + 1)
    ]
    ours = lrs([time * epochs for time in times], schedule="one_cycle", lr=0.3, epochs=epochs)
    assert ours == pytest.approx(one_cycle_lrs(epochs, steps), abs=1e-9)


def test_one_cycle_begins_low_peaks_at_lr_and_ends_near_zero():
    result = lrs([0, 3, 10], schedule="one_cycle", lr=0.5, epochs=10, lr_floor=0.1, decay_interval=1)
    assert result == pytest.approx([0.02, 0.5, 0.000002])
    result = lrs([i / 10 for i in range(101)], schedule="one_cycle", lr=0.5, epochs=10)
    assert result[:31] == sorted(result[:31])
    assert result[30:] == sorted(result[30:], reverse=True)


def test_step_falls_by_the_factor_at_each_interval():
    result = lrs([0, 1.99, 2, 3.5, 4, 7.9], schedule="step", lr=0.8, decay_interval=2, decay_factor=0.5)
    assert result == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.1])


def test_step_stops_at_the_floor():
    assert lrs(
        [0, 1, 2, 50], schedule="step", lr=1.0, decay_interval=1, decay_factor=0.1, lr_floor=0.05
    ) == pytest.approx([1, 0.1, 0.05, 0.05])


def test_halving_stops_at_the_floor():
    result = lrs([0, 1, 2, 3, 50], schedule="halving", lr=1.0, decay_interval=1, lr_floor=0.2)
    assert result == pytest.approx([1, 0.5, 0.25, 0.2, 0.2])


def test_cosine_goes_from_lr_to_the_floor():
    assert lrs([0, 2.5, 5, 7.5, 10], schedule="cosine", lr=1.0, epochs=10) == pytest.approx(
        [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5, 0]
    )
    assert lrs([0, 5, 10], schedule="cosine", lr=1.0, epochs=10, lr_floor=0.2) == pytest.approx([1, 0.6, 0.2])


def test_cosine_only_falls():
    result = lrs([i / 10 for i in range(101)], schedule="cosine", lr=0.3, epochs=10)
    assert result == sorted(result, reverse=True)


def test_constant_stays():
    assert lrs([0, 0.5, 19, 1000], schedule="constant", lr=0.3, lr_floor=0.1) == [0.3] * 4


@pytest.mark.parametrize("schedule", ["constant", "cosine", "halving", "step"])
def test_a_floor_above_lr_raises_nothing(schedule):
    assert lrs([0, 3, 20], schedule=schedule, lr=0.1, lr_floor=0.5) == pytest.approx([0.1] * 3)


def test_warm_up_rises_in_a_line_to_lr():
    assert lrs([0, 1, 2, 3.5, 4, 9], schedule="constant", lr=0.8, warmup_epochs=4) == pytest.approx(
        [0, 0.2, 0.4, 0.7, 0.8, 0.8]
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_can_be_warmed_up(schedule):
    times = [0, 0.5, 1, 1.5, 2, 7]
    plain = lrs(times, schedule=schedule, lr=0.3, epochs=10, decay_interval=1)
    warm = lrs(times, schedule=schedule, lr=0.3, epochs=10, decay_interval=1, warmup_epochs=2)
    assert warm == pytest.approx([lr * min(time / 2, 1) for lr, time in zip(plain, times, strict=True)])


def test_the_decay_runs_on_underneath_the_warm_up():
    params = {"schedule": "step", "lr": 0.8, "decay_interval": 1, "decay_factor": 0.5}
    plain = lrs([0, 1, 1.5, 2, 3], **params)
    assert lrs([0, 1, 1.5, 2, 3], warmup_epochs=2, **params) == pytest.approx(
        [0, plain[1] / 2, plain[2] * 0.75, plain[3], plain[4]]
    )
