import pytest

from trainables.config import TrainConfig
from trainables.lr_schedules import lr_at


def lrs(times, **params) -> list[float]:
    config = TrainConfig(**params)
    return [lr_at(config, time) for time in times]


def test_step_falls_by_the_factor_at_each_interval():
    result = lrs([0, 1.99, 2, 3.5, 4, 7.9], schedule="step", lr=0.8, decay_interval=2, decay_factor=0.5)
    assert result == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.1])


def test_step_stops_at_the_floor():
    assert lrs(
        [0, 1, 2, 50], schedule="step", lr=1.0, decay_interval=1, decay_factor=0.1, lr_floor=0.05
    ) == pytest.approx([1, 0.1, 0.05, 0.05])


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


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_a_floor_above_lr_raises_nothing(schedule):
    assert lrs([0, 3, 20], schedule=schedule, lr=0.1, lr_floor=0.5) == pytest.approx([0.1] * 3)


def test_warm_up_rises_in_a_line_to_lr():
    assert lrs([0, 1, 2, 3.5, 4, 9], schedule="constant", lr=0.8, warmup_epochs=4) == pytest.approx(
        [0, 0.2, 0.4, 0.7, 0.8, 0.8]
    )


def test_the_decay_runs_on_underneath_the_warm_up():
    params = {"schedule": "step", "lr": 0.8, "decay_interval": 1, "decay_factor": 0.5}
    plain = lrs([0, 1, 1.5, 2, 3], **params)
    assert lrs([0, 1, 1.5, 2, 3], warmup_epochs=2, **params) == pytest.approx(
        [0, plain[1] / 2, plain[2] * 0.75, plain[3], plain[4]]
    )
