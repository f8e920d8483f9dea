"""When early stopping ends a run, by the curve of the same run without it."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from made_data import made_split
from other_processes import unmeasured

from trainables.config import EARLY_STOPPING, TrainConfig
from trainables.loader import Loader
from trainables.state import TrainState
from trainables.training import finished, train

torch.set_num_threads(1)
CPU = torch.device("cpu")
PARTS = made_split(n_classes=10, per_class=15, size=2, channels=1)
EPOCHS = 20
# Hard to tell apart by four pixels, and the learning rate is too high: the curve goes up and down.
BUMPY = TrainConfig(
    model="mlp", optimizer="sgd", lr=0.2, momentum=0.8, schedule="constant", batch_size=8, epochs=EPOCHS, seed=2
)
STILL = replace(BUMPY, lr=1e-30)
METRICS = [name for name in EARLY_STOPPING if name != "none"]
metrics = pytest.mark.parametrize("metric", METRICS)


def fresh(config: TrainConfig) -> TrainState:
    return TrainState.create(config, PARTS.data.input_shape, len(PARTS.data.classes), CPU)


def curve(config: TrainConfig, state: TrainState | None = None) -> list[dict]:
    epochs = train(config, Loader(PARTS, config, CPU), state or fresh(config))
    return [unmeasured(asdict(metrics)) for metrics in epochs]


@pytest.fixture(scope="module")
def whole() -> list[dict]:
    """The run that nothing stops."""
    return curve(BUMPY)


def last_epoch(whole: list[dict], metric: str, patience: int, tolerance: float) -> int:
    """By the rule: so many epochs in a row, none of them better than the best that counted."""
    best, waited = math.inf, 0
    for epoch in whole:
        value = epoch[metric] if metric == "val_loss" else -epoch[metric]
        improved = value < best - tolerance
        best, waited = (value, 0) if improved else (best, waited + 1)
        if waited == patience:
            return epoch["epoch"]
    return len(whole)


@metrics
@pytest.mark.parametrize("patience", [1, 2, 4, EPOCHS])
@pytest.mark.parametrize("tolerance", [0.0, 0.06])
def test_a_run_ends_after_so_many_epochs_without_an_improvement(whole, metric, patience, tolerance):
    config = replace(BUMPY, early_stopping=metric, patience=patience, tolerance=tolerance)
    assert curve(config) == whole[: last_epoch(whole, metric, patience, tolerance)]


def test_the_run_in_these_tests_has_ups_and_downs(whole):
    """Or they would prove nothing: each setting ends it elsewhere, and at times after a bump that was waited out."""
    ends = {(m, p, t): last_epoch(whole, m, p, t) for m in METRICS for p in (1, 2, 4) for t in (0.0, 0.06)}
    assert len(set(ends.values())) >= 5
    for metric in METRICS:
        assert ends[metric, 1, 0.0] < ends[metric, 2, 0.0] < ends[metric, 4, 0.06] < ends[metric, 4, 0.0] < EPOCHS


@metrics
def test_what_never_changes_does_not_improve(metric):
    assert len(curve(replace(STILL, early_stopping=metric, patience=3))) == 4


def test_many_small_improvements_add_up_to_one(monkeypatch):
    """They are compared with the last that counted, not with the epoch before."""
    losses = iter([1.0, 0.96, 0.92, 0.88, 0.84, 0.80, 0.79, 0.78, 0.77])
    monkeypatch.setattr("trainables.training.evaluate", lambda *_: (next(losses), 0.5))
    result = curve(replace(STILL, early_stopping="val_loss", patience=4, tolerance=0.1))
    assert [m["val_loss"] for m in result] == [1.0, 0.96, 0.92, 0.88, 0.84, 0.80, 0.79, 0.78, 0.77][: len(result)]
    assert len(result) == 8  # 0.88 and nothing better than 0.78 in the four epochs after it


def test_an_improvement_by_the_tolerance_itself_does_not_count(monkeypatch):
    losses = iter([1.0, 0.75, 0.5, 0.25])
    monkeypatch.setattr("trainables.training.evaluate", lambda *_: (next(losses), 0.5))
    assert len(curve(replace(STILL, early_stopping="val_loss", patience=1, tolerance=0.25))) == 2


def test_of_accuracies_the_higher_is_the_better(monkeypatch):
    accuracies = iter([0.5, 0.6, 0.55, 0.7, 0.7, 0.65, 0.9])
    monkeypatch.setattr("trainables.training.evaluate", lambda *_: (1.0, next(accuracies)))
    assert len(curve(replace(STILL, early_stopping="val_accuracy", patience=2))) == 6


def test_a_loss_that_is_no_number_is_no_improvement(monkeypatch):
    losses = iter([math.nan, 1.0, math.nan, math.nan, 0.5])
    monkeypatch.setattr("trainables.training.evaluate", lambda *_: (next(losses), 0.5))
    assert len(curve(replace(STILL, early_stopping="val_loss", patience=2))) == 4


def test_without_it_nothing_is_stopped(whole):
    assert len(whole) == EPOCHS
    assert curve(replace(BUMPY, early_stopping="none", patience=1, tolerance=9)) == whole


@metrics
def test_a_continued_run_ends_where_it_would_have(tmp_path, whole, metric):
    config = replace(BUMPY, early_stopping=metric, patience=4, tolerance=0.06)
    last = last_epoch(whole, metric, 4, 0.06)
    assert last >= 5
    state = fresh(config)
    for epoch in train(config, Loader(PARTS, config, CPU), state):
        state.save(tmp_path / str(epoch.epoch))
    for saved in range(1, last + 1):
        state = fresh(replace(config, seed=99))
        state.load(tmp_path / str(saved), CPU)
        assert finished(config, state) is (saved == last)
        assert curve(config, state) == whole[saved:last]
