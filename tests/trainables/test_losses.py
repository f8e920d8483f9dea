"""What is minimised and what is reported, and how large a step may be."""

import copy

import pytest
import torch
import torch.nn.functional as F
from made_data import made_split, weights
from torch import nn

from trainables import optimizers
from trainables.config import LOSSES, TrainConfig
from trainables.loader import Loader
from trainables.losses import evaluation_loss, training_loss
from trainables.state import TrainState
from trainables.training import train, train_step

torch.set_num_threads(1)
CPU = torch.device("cpu")
N, CLASSES = 40, 7


def scores() -> torch.Tensor:
    return 3 * torch.randn(N, CLASSES, generator=torch.Generator().manual_seed(0))


def labels() -> torch.Tensor:
    return torch.arange(N) % CLASSES


def state(config: TrainConfig) -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3))
    return TrainState(model, optimizers.build(model, config))


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(seed)), torch.arange(8) % 3


def gradient(of: TrainState) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in of.model.parameters()])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
def test_cross_entropy_is_taken_against_smoothed_labels(smoothing):
    config = TrainConfig(label_smoothing=smoothing)
    smoothed = (1 - smoothing) * F.one_hot(labels(), CLASSES) + smoothing / CLASSES
    by_hand = -(smoothed * scores().log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(training_loss(config, scores(), labels()), by_hand)
    torch_s = F.cross_entropy(scores(), labels(), label_smoothing=smoothing)
    torch.testing.assert_close(training_loss(config, scores(), labels()), torch_s)


def test_squared_error_is_summed_over_classes_and_averaged_over_images():
    expected = sum(
        (scores()[i, j] - (labels()[i] == j).float()) ** 2 for i in range(N) for j in range(CLASSES)
    )  # fmt: skip
    config = TrainConfig(loss="squared_error")
    torch.testing.assert_close(training_loss(config, scores(), labels()), expected / N)
    torch.testing.assert_close(evaluation_loss(config, scores(), labels()), expected)
    smoothed = TrainConfig(loss="squared_error", label_smoothing=0.5)
    assert training_loss(smoothed, scores(), labels()) == training_loss(config, scores(), labels())


def test_the_loss_reported_is_not_smoothed():
    plain, smoothed = (evaluation_loss(TrainConfig(label_smoothing=x), scores(), labels()) for x in (0.0, 0.4))
    assert plain == smoothed
    torch.testing.assert_close(plain, F.cross_entropy(scores(), labels(), reduction="sum"))


def test_smoothing_shows_in_the_training_loss_of_an_epoch_and_not_in_the_validation_loss():
    parts, curves = made_split(), []
    for smoothing in (0.0, 0.5):
        config = TrainConfig(lr=1e-30, optimizer="sgd", epochs=1, label_smoothing=smoothing, model="mlp")
        fresh = TrainState.create(config, parts.data.input_shape, 3, CPU)
        curves += list(train(config, Loader(parts, config, CPU), fresh))
    plain, smoothed = curves
    assert smoothed.val_loss == plain.val_loss
    assert abs(smoothed.train_loss - plain.train_loss) > 0.01


def test_every_known_name_has_a_loss_of_its_own():
    values = {name: training_loss(TrainConfig(loss=name), scores(), labels()).item() for name in LOSSES}
    assert len(set(values.values())) == len(LOSSES)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_s_loss_is_that_of_the_model_before_it_in_single_precision(loss, precision):
    config = TrainConfig(loss=loss, precision=precision, lr=0.1, optimizer="sgd")
    of = state(config)
    images, numbers = batch()
    before = copy.deepcopy(of.model)(images)
    value, right = train_step(config, of, images, numbers)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(training_loss(config, before, numbers).item(), rel=0.02)
    assert not value.requires_grad
    assert right == (before.argmax(1) == numbers).sum()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_follows_the_gradient_of_the_loss(loss):
    config = TrainConfig(loss=loss, optimizer="sgd", lr=0.5, momentum=0, label_smoothing=0.2)
    of = state(config)
    before, images_and_labels = weights(of.model), batch()
    reference = copy.deepcopy(of.model)
    training_loss(config, reference(images_and_labels[0]), images_and_labels[1]).backward()
    expected = torch.cat([p.grad.flatten() for p in reference.parameters()])
    train_step(config, of, *images_and_labels)
    torch.testing.assert_close(weights(of.model), before - 0.5 * expected)


def test_a_long_gradient_is_shortened_to_the_norm_in_its_own_direction():
    free, clipped = (TrainConfig(clip_norm=norm, optimizer="sgd", lr=1, momentum=0) for norm in (0, 0.01))
    one, other = state(free), state(clipped)
    before = weights(other.model)
    train_step(free, one, *batch())
    train_step(clipped, other, *batch())
    assert gradient(one).norm() > 0.1
    assert gradient(other).norm().item() == pytest.approx(0.01, rel=1e-3)
    assert F.cosine_similarity(gradient(one), gradient(other), dim=0).item() == pytest.approx(1, abs=1e-5)
    assert (weights(other.model) - before).norm().item() == pytest.approx(0.01, rel=1e-2)


def test_a_gradient_within_the_norm_is_left_alone():
    free, wide = TrainConfig(clip_norm=0), TrainConfig(clip_norm=1000)
    one, other = state(free), state(wide)
    for seed in range(3):
        train_step(free, one, *batch(seed))
        train_step(wide, other, *batch(seed))
    assert torch.equal(weights(one.model), weights(other.model))


def test_the_norm_is_taken_over_the_parameters_that_are_trained():
    config = TrainConfig(clip_norm=0.01)
    of = state(config)
    of.model[1].requires_grad_(False)
    train_step(config, of, *batch())
    assert torch.cat([p.grad.flatten() for p in of.model[3].parameters()]).norm().item() == pytest.approx(
        0.01, rel=1e-3
    )
    assert of.model[1].weight.grad is None
