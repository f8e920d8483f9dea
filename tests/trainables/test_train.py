"""One run: what it gives, that it can be repeated, and that it can be continued."""

import json
import math
import multiprocessing
import signal
import sys
from dataclasses import asdict, replace

import pytest
import torch
from made_data import made_split, weights
from other_processes import KILLED_IN_EPOCH, TRAINING, train_twice, unmeasured, wait_until

import trainables.models
import trainables.training
from trainables.config import (
    AUGMENTATIONS,
    EARLY_STOPPING,
    ENLARGEMENTS,
    LOSSES,
    NORMALIZATIONS,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    TrainConfig,
)
from trainables.loader import Loader
from trainables.precision import autocast_for
from trainables.state import TrainState
from trainables.training import train

torch.set_num_threads(1)
CPU = torch.device("cpu")
PARTS = made_split()
WITH_DROPOUT = """
import torch.nn as nn

def build(input_shape, num_classes, *, dropout=0.5):
    channels = input_shape[0]
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Dropout(dropout), nn.Linear(64, num_classes),
    )
"""


@pytest.fixture(scope="module", autouse=True)
def other(tmp_path_factory):
    """Another process that trains while the tests here do: its folder and itself."""
    folder = tmp_path_factory.mktemp("other")
    process = multiprocessing.get_context("spawn").Process(target=train_twice, args=(folder,))
    process.start()
    yield folder, process
    process.kill()
    process.join()


TOLD = """
import torch.nn as nn

def build(input_shape, num_classes):
    model = nn.Linear(1, num_classes)
    model.told = input_shape
    return model
"""


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """Model files of the user's own: one has all that has a state or draws random numbers."""
    sources = {"with_dropout": WITH_DROPOUT, "told": TOLD}
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(trainables.models, "__path__", [*trainables.models.__path__, str(tmp_path)])
    yield
    for name in sources:
        sys.modules.pop(f"trainables.models.{name}", None)


def fresh(config: TrainConfig) -> TrainState:
    return TrainState.create(config, PARTS.data.input_shape, len(PARTS.data.classes), CPU)


def continued(config: TrainConfig, state: TrainState):
    return train(config, Loader(PARTS, config, CPU), state)


def curve(config: TrainConfig, state: TrainState | None = None) -> list[dict]:
    return [unmeasured(asdict(metrics)) for metrics in continued(config, state or fresh(config))]


def restored(config: TrainConfig, path) -> TrainState:
    state = fresh(TrainConfig.from_params({**config.in_effect(), "seed": 99}))  # its own weights must not matter
    state.load(path, CPU)
    return state


def test_an_epoch_s_metrics_are_what_they_say():
    config = TrainConfig.from_params({**TRAINING, "epochs": 3})
    loader, state = Loader(PARTS, config, CPU), fresh(config)
    for epoch, metrics in enumerate(train(config, loader, state), start=1):
        assert metrics.epoch == state.epoch == epoch
        assert metrics == state.metrics
        assert 0 <= metrics.train_accuracy <= 1
        (images, labels), *rest = loader.validation()
        assert not rest
        with torch.no_grad():
            scores = state.model.eval()(images)
        assert metrics.val_loss == pytest.approx(torch.nn.functional.cross_entropy(scores, labels).item(), rel=1e-5)
        assert metrics.val_accuracy == pytest.approx((scores.argmax(1) == labels).float().mean().item())
        assert metrics.epoch_seconds > 0
        assert metrics.images_per_second > 0
        assert 10 < metrics.peak_memory_mb < 100_000
    assert epoch == 3


def test_the_training_loss_is_the_mean_over_images(monkeypatch):
    """With a learning rate too small to change anything, it is the loss over the training part."""
    config = TrainConfig(lr=1e-30, optimizer="sgd", epochs=1, batch_size=50)  # 72 images: batches of 50 and 22
    state = fresh(config)
    images, labels = (torch.cat(part) for part in zip(*Loader(PARTS, config, CPU).training(0), strict=True))
    with torch.no_grad():
        scores = state.model(images)
    (metrics,) = curve(config, state)
    assert metrics["train_loss"] == pytest.approx(torch.nn.functional.cross_entropy(scores, labels).item(), rel=1e-5)
    assert metrics["train_accuracy"] == pytest.approx((scores.argmax(1) == labels).float().mean().item())


def test_the_learning_rate_reported_is_that_of_the_last_step():
    lrs = [m["lr"] for m in curve(TrainConfig(epochs=4, schedule="step", lr=0.01, decay_interval=2, decay_factor=0.5))]
    assert lrs == pytest.approx([0.01, 0.01, 0.005, 0.005])
    (only,) = curve(TrainConfig(epochs=1, schedule="constant", lr=0.01, warmup_epochs=2, batch_size=18))  # 4 steps
    assert only["lr"] == pytest.approx(0.01 * 3 / 8)


def test_training_learns():
    last = curve(TrainConfig(epochs=10, batch_size=16, lr=3e-3, schedule="constant"))[-1]
    assert last["val_accuracy"] > 0.9  # chance is a third
    assert last["train_accuracy"] > 0.9


@pytest.mark.parametrize(
    "params",
    [
        *({"optimizer": name} for name in OPTIMIZERS),
        *({"schedule": name} for name in SCHEDULES),
        *({"augment": name} for name in ("none", *AUGMENTATIONS, "+".join(AUGMENTATIONS))),
        *({"normalize": name} for name in NORMALIZATIONS),
        *({"precision": name} for name in PRECISIONS),
        *({"loss": name} for name in LOSSES),
        *({"early_stopping": name} for name in EARLY_STOPPING),
        *({"enlarge": name, "model": "mlp", "resize": 4} for name in ("none", *ENLARGEMENTS)),
        {"label_smoothing": 0.2, "clip_norm": 0.1},
        {"refit_last_layer": True},
        {"resize": 20},
        {"model": "cnn_sp"},
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": True},
        {"lr": 1, "optimizer": "sgd", "momentum": 0, "weight_decay": 0, "train_fraction": 1},
    ],
    ids=str,
)
def test_every_name_trains(params):
    config = TrainConfig.from_params({"lr": 1e-3, **params, "epochs": 2, "batch_size": 24})
    state = fresh(config)
    before = weights(state.model)
    result = curve(config, state)
    assert [m["epoch"] for m in result] == [1, 2]
    assert all(math.isfinite(m[key]) for m in result for key in ("train_loss", "val_loss"))
    assert not torch.equal(before, weights(state.model))


def test_bfloat16_is_close_to_single_precision_and_not_the_same():
    single, mixed = (curve(TrainConfig(epochs=3, batch_size=16, precision=p)) for p in ("float32", "bfloat16"))
    assert mixed[0]["train_loss"] != single[0]["train_loss"]
    assert mixed[-1]["val_loss"] != single[-1]["val_loss"]
    assert mixed[-1]["val_loss"] == pytest.approx(single[-1]["val_loss"], rel=0.1)
    state = fresh(TrainConfig(precision="bfloat16"))
    assert {p.dtype for p in state.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_repeated_is_the_same(optimizer):
    config = TrainConfig.from_params({**TRAINING, "optimizer": optimizer})
    assert curve(config) == curve(config)


def test_auto_is_single_precision_on_a_cpu():
    with autocast_for(TrainConfig(precision="auto"), CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    with autocast_for(TrainConfig(precision="bfloat16"), CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_another_seed_gives_another_run():
    one, other = (curve(TrainConfig.from_params({**TRAINING, "epochs": 1, "seed": seed})) for seed in (1, 2))
    assert one[0]["train_loss"] != other[0]["train_loss"]


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize(("resize", "shape"), [(0, (3, 10, 20)), (8, (3, 8, 8))])
def test_a_model_is_told_the_shape_of_the_images_it_will_get(resize, shape):
    assert TrainState.create(TrainConfig(model="told", resize=resize), (3, 10, 20), 5, CPU).model.told == shape


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["lenet", "with_dropout"])
def test_a_continued_run_is_the_same(tmp_path, model, optimizer):
    config = TrainConfig.from_params({**TRAINING, "model": model, "optimizer": optimizer})
    whole = curve(config)
    state = fresh(config)
    for metrics in continued(config, state):
        if metrics.epoch == 2:
            state.save(tmp_path / "state")
            break
    state = restored(config, tmp_path / "state")
    assert state.epoch == 2
    assert unmeasured(asdict(state.metrics)) == whole[1]
    torch.rand(3)
    assert curve(config, state) == whole[2:]


@pytest.mark.parametrize(
    "params",
    [
        {"model": "cnn_sp"},
        {"augment": "rotate+shift+scale+gamma+jitter", "schedule": "one_cycle"},
        {"enlarge": "gamma", "batch_size": 256, "resize": 6, "model": "mlp"},
        {"early_stopping": "val_loss", "patience": 1, "refit_last_layer": True, "clip_norm": 0.5},
    ],
    ids=str,
)
def test_whatever_it_uses_a_continued_run_is_the_same(tmp_path, params):
    config = TrainConfig.from_params({**TRAINING, "epochs": 3, **params})
    whole, state = curve(config), fresh(config)
    next(continued(config, state))
    state.save(tmp_path / "state")
    torch.rand(3)
    assert curve(config, restored(config, tmp_path / "state")) == whole[1:]


def test_a_finished_run_goes_no_further(tmp_path):
    config = TrainConfig(epochs=1)
    state = fresh(config)
    assert len(curve(config, state)) == 1
    state.save(tmp_path / "state")
    assert curve(config, restored(config, tmp_path / "state")) == []


DIVERGING = TrainConfig(optimizer="sgd", lr=1e20, schedule="constant", epochs=5, batch_size=16)
diverging = pytest.mark.parametrize(
    "config",
    [DIVERGING, replace(DIVERGING, loss="squared_error"), replace(DIVERGING, model="cnn_sp")],
    ids=["cross_entropy", "squared_error", "stochastic pooling"],
)


@diverging
def test_a_run_ends_when_its_loss_is_not_finite(config):
    result = curve(config)
    assert len(result) < 5
    assert not math.isfinite(result[-1]["train_loss"])


@diverging
def test_a_run_that_ended_so_does_not_continue(tmp_path, config):
    state = fresh(config)
    assert len(curve(config, state)) < 5
    state.save(tmp_path / "state")
    assert curve(config, restored(config, tmp_path / "state")) == []


@pytest.mark.parametrize("checked", [2, 1000])
def test_an_epoch_ends_where_the_loss_is_no_longer_finite_and_is_not_evaluated(monkeypatch, checked):
    """At the next look within the epoch, or at its end."""
    steps = []

    def step(config, state, images, labels, micro_batch):
        steps.append(len(labels))
        return torch.tensor(math.nan if len(steps) > 2 else 1.0), torch.tensor(0)

    monkeypatch.setattr(trainables.training, "FINITE_CHECK_STEPS", checked)
    monkeypatch.setattr(trainables.training, "train_step", step)
    config = TrainConfig(epochs=3, batch_size=4)
    (metrics,) = continued(config, fresh(config))
    assert len(steps) == (4 if checked == 2 else len(Loader(PARTS, config, CPU)))
    assert metrics.epoch == 1
    assert all(math.isnan(getattr(metrics, name)) for name in ("train_loss", "val_loss", "val_accuracy"))


@pytest.mark.parametrize("micro_batch", [1, 5, 16, 100])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_in_parts_gives_the_step_of_the_whole(loss, micro_batch):
    config = TrainConfig(model="lenet", optimizer="sgd", loss=loss, clip_norm=0.5, batch_size=16, epochs=2)
    whole, in_parts = fresh(config), fresh(config)
    curves = [
        [unmeasured(asdict(m)) for m in train(config, Loader(PARTS, config, CPU, n), state)]
        for n, state in ((None, whole), (micro_batch, in_parts))
    ]
    torch.testing.assert_close(weights(in_parts.model), weights(whole.model), rtol=1e-3, atol=1e-5)
    for one, other in zip(*curves, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), rel=1e-3)


def test_no_pass_has_more_images_than_it_may(monkeypatch):
    seen = []
    forward = torch.nn.Conv2d.forward
    monkeypatch.setattr(torch.nn.Conv2d, "forward", lambda layer, x: seen.append(len(x)) or forward(layer, x))
    config = TrainConfig(batch_size=16, epochs=1)
    list(train(config, Loader(PARTS, config, CPU, 7), fresh(config)))
    assert max(seen) <= 7
    assert 1 not in seen, "a batch is divided evenly: batch normalisation cannot take a single image"


@pytest.fixture
def other_curves(other) -> dict[str, list[dict]]:
    """What the other process wrote of its runs until it was killed in the middle of an epoch."""
    folder, process = other
    wait_until(lambda: (folder / "stays").exists() or process.exitcode is not None)
    assert process.exitcode in (None, -signal.SIGKILL)
    process.kill()
    process.join()
    return {
        run: [json.loads(line) for line in (folder / run / "curve").read_text().splitlines()]
        for run in ("whole", "killed")
    }


def test_another_process_trains_the_same(other_curves):
    assert other_curves["whole"] == curve(TrainConfig.from_params(TRAINING))


def test_a_killed_run_that_continues_is_the_same(other, other_curves):
    folder, _ = other
    assert len(other_curves["killed"]) == KILLED_IN_EPOCH
    config = TrainConfig.from_params(TRAINING)
    rest = curve(config, restored(config, folder / "killed" / "state"))
    assert other_curves["killed"] + rest == curve(config)
