"""The last layer fitted by least squares, against numpy's."""

import pickle
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from made_data import image_data, made_split, weights
from other_processes import unmeasured
from torch import nn

import trainables.training
from trainables import optimizers
from trainables.config import TrainConfig
from trainables.errors import ModelError
from trainables.evaluate import evaluate
from trainables.loader import Loader
from trainables.refit import refit_last_layer
from trainables.split import Split
from trainables.state import TrainState
from trainables.training import train

torch.set_num_threads(1)
CPU = torch.device("cpu")
PARTS = made_split(size=4, channels=1)
CONFIG = TrainConfig(model="mlp", epochs=3, batch_size=16, lr=0.01, refit_last_layer=True)
biases = pytest.mark.parametrize("bias", [True, False])


def loader(n: int = 300, classes: int = 5, size: int = 4, **config) -> Loader:
    """Noise, in which least squares has but one solution."""
    random = np.random.default_rng(0)
    part = random.integers(0, 256, (n, size, size, 1), dtype=np.uint8), np.arange(n) % classes
    indices = np.sort(random.permutation(n)[: n * 4 // 5])
    return Loader(Split(image_data(part, part), indices, np.arange(n), "test"), TrainConfig(**config), CPU)


def least_squares(features: torch.Tensor, labels: torch.Tensor, classes: int, bias: bool) -> tuple[np.ndarray, ...]:
    """numpy's weight [classes, features] and bias [classes]."""
    inputs = features.double().numpy()
    if bias:
        inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
    solution, *_ = np.linalg.lstsq(inputs, np.eye(classes)[labels.numpy()], rcond=None)
    return (solution[:-1].T, solution[-1]) if bias else (solution.T, None)


def images_and_labels(given: Loader) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*given.training_in_order(), strict=True)
    return torch.cat(images), torch.cat(labels)


def assert_is(head: nn.Linear, expected: tuple[np.ndarray, ...], error: float = 1e-5) -> None:
    for ours, numpy_s in zip((head.weight, head.bias), expected, strict=True):
        if numpy_s is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours.detach(), numpy_s, rtol=1e-3, atol=error)


@biases
def test_a_linear_model_becomes_the_least_squares_solution(bias):
    given, model = loader(), nn.Sequential(nn.Flatten(), nn.Linear(16, 5, bias=bias))
    refit_last_layer(model, given)
    images, labels = images_and_labels(given)
    assert_is(model[1], least_squares(images.flatten(1), labels, 5, bias))


@biases
def test_of_a_deeper_model_the_last_layer_alone_is_fitted_in_evaluation_mode(bias):
    torch.manual_seed(0)
    given = loader(augment="crop", enlarge="rotate", batch_size=7)
    body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 8), nn.Dropout())
    model = nn.Sequential(body, nn.Linear(8, 5, bias=bias))
    before = {name: value.clone() for name, value in body.state_dict().items()}
    refit_last_layer(model.train(), given)
    images, labels = images_and_labels(given)
    assert len(images) == 240
    assert all(torch.equal(before[name], value) for name, value in body.state_dict().items())
    with torch.no_grad():
        features = body.eval()(images)
    assert_is(model[1], least_squares(features, labels, 5, bias), error=2e-3)  # these features are much alike


def test_many_batches_give_what_one_does(monkeypatch):
    given, heads = loader(), []
    for pixels in (16 * 1000, 16 * 7):
        monkeypatch.setattr("trainables.loader.EVALUATION_BATCH_PIXELS", pixels)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
        refit_last_layer(model, given)
        heads.append(weights(model))
    assert len(list(given.training_in_order())) == 35
    torch.testing.assert_close(*heads)


def test_features_that_are_always_zero_do_no_harm():
    torch.manual_seed(0)
    given, body = loader(), nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU())
    with torch.no_grad():
        body[1].weight[:2], body[1].bias[:2] = 0, -1
    model = nn.Sequential(body, nn.Linear(6, 5))
    refit_last_layer(model, given)
    images, labels = images_and_labels(given)
    with torch.no_grad():
        fitted = model(images)
        inputs = np.hstack([body(images).double().numpy(), np.ones((len(images), 1))])
    solution, *_ = np.linalg.lstsq(inputs, np.eye(5)[labels.numpy()], rcond=None)
    np.testing.assert_allclose(fitted, inputs @ solution, atol=1e-3)


@biases
def test_features_that_are_all_zero_do_no_harm(bias):
    """The features of a network whose units have died; all that is left to fit is the mean."""
    given, model = loader(), nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 5, bias=bias))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.fill_(-1)
    refit_last_layer(model, given)
    images, labels = images_and_labels(given)
    expected = torch.bincount(labels, minlength=5) / len(labels) * bias
    torch.testing.assert_close(model(images), expected.expand(len(images), 5), atol=1e-4, rtol=0)


def test_nothing_is_left_behind_in_the_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    refit_last_layer(model, loader())
    copied = pickle.loads(pickle.dumps(model))  # a hook could not be pickled
    assert torch.equal(weights(copied), weights(model))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(1, 5, 4), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 5, 2), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5)),
    ],
    ids=["no linear layer", "a convolution last", "an activation last", "a normalisation last"],
)
def test_a_model_must_end_in_a_linear_layer(model):
    before = weights(model)
    with pytest.raises(ModelError, match="needs a model that ends in a linear layer"):
        refit_last_layer(model, loader())
    assert torch.equal(weights(model), before)


def fresh(config: TrainConfig) -> TrainState:
    return TrainState.create(config, PARTS.data.input_shape, len(PARTS.data.classes), CPU)


def curve(config: TrainConfig, state: TrainState) -> list[dict]:
    return [unmeasured(asdict(metrics)) for metrics in train(config, Loader(PARTS, config, CPU), state)]


def assert_refitted_at_the_end_alone(config: TrainConfig, epochs: int) -> None:
    """All as without it, but for what is measured of the last epoch, which is of the refitted layer."""
    plain, refitted = fresh(replace(config, refit_last_layer=False)), fresh(config)
    before, after = curve(replace(config, refit_last_layer=False), plain), curve(config, refitted)
    assert len(after) == len(before) == epochs
    assert after[:-1] == before[:-1]
    trained = {key: before[-1][key] for key in ("epoch", "train_loss", "train_accuracy", "lr")}
    assert after[-1].items() >= trained.items()
    given = Loader(PARTS, config, CPU)
    refit_last_layer(plain.model, given)
    assert torch.equal(weights(plain.model), weights(refitted.model))
    assert (after[-1]["val_loss"], after[-1]["val_accuracy"]) == evaluate(config, plain.model, given.validation())
    assert after[-1]["val_loss"] != before[-1]["val_loss"]
    assert unmeasured(asdict(refitted.metrics)) == after[-1]


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_a_run_ends_with_the_refit_and_is_measured_after_it(loss):
    assert_refitted_at_the_end_alone(replace(CONFIG, loss=loss), 3)


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_a_run_that_early_stopping_ends_does_so_too(metric):
    config = replace(CONFIG, early_stopping=metric, patience=2, epochs=50, lr=1e-30, optimizer="sgd")
    assert_refitted_at_the_end_alone(config, 3)


def test_the_seconds_of_the_last_epoch_are_those_of_the_refit_too(monkeypatch):
    def slow(*arguments) -> None:
        time.sleep(0.3)
        refit_last_layer(*arguments)

    monkeypatch.setattr(trainables.training, "refit_last_layer", slow)
    *_, last = train(CONFIG, Loader(PARTS, CONFIG, CPU), fresh(CONFIG))
    assert last.epoch_seconds > 0.3
    assert last.images_per_second > 72 / 0.3


def test_a_diverged_run_is_not_refitted(monkeypatch):
    monkeypatch.setattr(trainables.training, "refit_last_layer", lambda *_: pytest.fail("it was"))
    config = replace(CONFIG, optimizer="sgd", lr=1e30, schedule="constant", loss="squared_error", epochs=5)
    result = curve(config, fresh(config))
    assert len(result) < 5
    assert not np.isfinite(result[-1]["train_loss"])


def test_a_continued_run_ends_as_it_would_have(tmp_path):
    whole = curve(CONFIG, fresh(CONFIG))
    state = fresh(CONFIG)
    for metrics in train(CONFIG, Loader(PARTS, CONFIG, CPU), state):
        state.save(tmp_path / str(metrics.epoch))
    for epoch in (1, 2, 3):
        state = fresh(replace(CONFIG, seed=99))
        state.load(tmp_path / str(epoch), CPU)
        assert curve(CONFIG, state) == whole[epoch:]


def test_a_run_with_a_model_without_a_linear_layer_is_refused():
    model, config = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()), replace(CONFIG, epochs=1)
    with pytest.raises(ModelError, match="ends in a linear layer"):
        curve(config, TrainState(model, optimizers.build(model, config)))
