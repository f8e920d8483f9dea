"""The conformance checks find what is wrong with a model or a data set, and say so."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_data import image_data, made_part
from torch import nn

from trainables.models import lenet
from trainables.testing import check_dataset, check_model

SHAPE = (3, 8, 8)


def check(build) -> None:
    check_model(build, input_shapes=[SHAPE], num_classes=4)


class Linear(nn.Module):
    """A model that keeps all rules, for others to break one."""

    def __init__(self, outputs: int = 4):
        super().__init__()
        self.last = nn.Linear(192, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x.flatten(1))


class Unused(Linear):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)


class Infinite(Linear):
    def forward(self, x):
        return super().forward(x) / 0


class InfiniteGradient(Linear):
    def forward(self, x):
        return super().forward(x) + (self.last.weight[0, 0].detach() - self.last.weight[0, 0]).sqrt()


class BatchStatistics(Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Random(Linear):
    def forward(self, x):
        return super().forward(x) + torch.rand(())


class Counting(Linear):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        return super().forward(x)


class Contrast(Linear):
    def forward(self, x):
        return super().forward(x / x.flatten(1).std(1).view(-1, 1, 1, 1))


class Constant(Linear):
    def __init__(self):
        super().__init__()
        nn.init.ones_(self.last.weight)
        nn.init.zeros_(self.last.bias)


COUNT = itertools.count()


class Unseeded(Linear):
    def __init__(self):
        super().__init__()
        nn.init.constant_(self.last.bias, next(COUNT))


class SharedTensor(Linear):
    TABLE = torch.ones(192)

    def __init__(self):
        super().__init__()
        self.register_buffer("table", self.TABLE)

    def forward(self, x):
        return self.last(x.flatten(1) * self.table)


ACTIVATION = nn.ReLU()


class SharedModule(Linear):
    def __init__(self):
        super().__init__()
        self.activation = ACTIVATION

    def forward(self, x):
        return super().forward(self.activation(x))


def test_a_model_that_keeps_all_rules_conforms():
    check(lambda input_shape, num_classes: Linear(num_classes))
    check_model(lenet.build)


def test_random_numbers_go_on_as_if_nothing_had_been_checked():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check(lambda input_shape, num_classes: Linear(num_classes))
    assert torch.equal(torch.rand(2), expected)


def test_a_frozen_part_needs_no_gradient():
    def build(input_shape, num_classes):
        first = nn.Linear(192, 5).requires_grad_(False)
        return nn.Sequential(nn.Flatten(), first, nn.Linear(5, num_classes))

    check(build)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Linear(5), r"scores have shape \(2, 5\), not \(2, 4\)"),
        (Infinite, "scores are not finite for two images"),
        (Unused, r"no gradient reaches unused\.weight, unused\.bias"),
        (InfiniteGradient, r"the gradient is not finite in last\.weight"),
        (BatchStatistics, "depend on the other images"),
        (Random, "of the same images change|depend on the other images"),
        (Counting, "evaluation changes count"),
        (Contrast, "pixels are all 0 are not finite in training mode"),
        (Constant, "with different seeds have the same weights"),
        (Unseeded, "with the same seed have different weights"),
        (SharedTensor, "share tensors"),
        (SharedModule, "share modules"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_that_breaks_a_rule_is_found(model, message):
    with pytest.raises(AssertionError, match=message):
        check(lambda input_shape, num_classes: model())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda input_shape: Linear(), "must take input_shape and num_classes first"),
        (lambda input_shape, num_classes, width=3: Linear(), "options .* keyword-only and have defaults: width"),
        (lambda input_shape, num_classes, *, width: Linear(), "options .* keyword-only and have defaults: width"),
    ],
)
def test_a_signature_that_does_not_fit_is_found(build, message):
    with pytest.raises(AssertionError, match=message):
        check(build)


GOOD = image_data(made_part(3, 4, 1, 8), made_part(3, 2, 2, 8))


def test_a_data_set_that_keeps_all_rules_conforms(tmp_path):
    assert check_dataset(lambda root, *, size: replace(GOOD, name=f"{root.name} {size}"), tmp_path, size=8)


def test_a_data_set_is_decoded_twice_and_no_cache_is_used(tmp_path, monkeypatch):
    from trainables.cache import cache_dir

    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path))
    seen = []
    check_dataset(lambda root: seen.append(cache_dir()) or GOOD, tmp_path)
    assert len({*seen, tmp_path}) == 3
    assert cache_dir() == tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": GOOD.train_images.astype(np.float32)}, "load returned train_images that are not a uint8"),
        ({"test_labels": GOOD.test_labels.astype(np.int32)}, "load returned test_labels that are not an int64"),
        ({"validation_images": GOOD.test_images}, "load returned validation_labels"),
        ({"classes": ("a", "b")}, "no indices into its 2 classes"),
        ({"classes": ("a", "b", "c", "d")}, "train_labels have no image of d"),
        ({"classes": ("a", "b", "b")}, "two classes have the same name"),
        ({"test_images": GOOD.train_images, "test_labels": GOOD.train_labels}, "have 12 images in common"),
        (
            {"train_images": GOOD.train_images[..., :2], "test_images": GOOD.test_images[..., :2]},
            "images have 2 channels, not 1 or 3",
        ),
        ({"mean": (0.5, 0.5, 0.5)}, "mean is"),
        ({"std": GOOD.std[:2]}, "std is"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_data_set_that_breaks_a_rule_is_found(tmp_path, changes, message):
    with pytest.raises(AssertionError, match=message):
        check_dataset(lambda root: replace(GOOD, **changes), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": "other"}, "another fingerprint"),
        ({"classes": ("x", "y", "z")}, "other classes"),
        ({"test_labels": GOOD.test_labels[::-1]}, "other test_labels"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_data_set_that_is_another_the_second_time_is_found(tmp_path, changes, message):
    loads = iter([GOOD, replace(GOOD, **changes)])
    with pytest.raises(AssertionError, match=message):
        check_dataset(lambda root: next(loads), tmp_path)
