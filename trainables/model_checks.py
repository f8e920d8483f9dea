"""The rules that a model has to keep, each as a check that raises an AssertionError (see `trainables.testing`)."""

import contextlib
import inspect
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import nn

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""
Build = Callable[..., nn.Module]
"""A function `build(input_shape, num_classes, *, options...)`."""

SCORE_TOLERANCE = 1e-4
"""The scores of an image may differ so much between batches, by rounding."""


def built(build: Build, shape: Shape, num_classes: int, seed: int = 0) -> nn.Module:
    """Build a model with weights that the seed decides."""
    with _seeded(seed):
        return build(shape, num_classes)


def check_signature(build: Build) -> None:
    """Check that `build` takes two arguments, then options: keywords with defaults."""
    taken = list(inspect.signature(build).parameters.values())
    positional, options = [p for p in taken[:2] if p.kind is p.POSITIONAL_OR_KEYWORD], taken[2:]
    assert len(positional) == 2, f"build must take input_shape and num_classes first, not {inspect.signature(build)}"
    others = [p.name for p in options if p.kind is not p.KEYWORD_ONLY or p.default is p.empty]
    assert not others, f"options of build must be keyword-only and have defaults: {', '.join(others)}"


@torch.no_grad()
def check_scores(model: nn.Module, shape: Shape, num_classes: int) -> None:
    """Check that a model gives a finite score for each class, in training and in evaluation mode."""
    with _seeded(1):
        images = torch.randn(2, *shape)
        for mode in (True, False):
            scores = model.train(mode)(images)
            where = f"for two images of shape {shape} in {'training' if mode else 'evaluation'} mode"
            expected = (2, num_classes)
            assert tuple(scores.shape) == expected, f"scores have shape {tuple(scores.shape)}, not {expected}, {where}"
            assert scores.isfinite().all(), f"scores are not finite {where}"


def check_gradients(model: nn.Module, shape: Shape) -> None:
    """Check that a finite gradient other than 0 reaches every parameter that is trained."""
    with _seeded(1):
        model.train().zero_grad()
        torch.autograd.backward(F.cross_entropy(model(torch.randn(3, *shape)), torch.arange(3)))
    trained = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    without = [name for name, gradient in trained.items() if gradient is None or not gradient.any()]
    assert not without, f"no gradient reaches {', '.join(without)}"
    infinite = [name for name, gradient in trained.items() if gradient is not None and not gradient.isfinite().all()]
    assert not infinite, f"the gradient is not finite in {', '.join(infinite)}"


@torch.no_grad()
def check_evaluation(model: nn.Module, shape: Shape) -> None:
    """Check that evaluation judges each image by itself, always the same, and leaves the model as it was."""
    with _seeded(1):
        images = torch.rand(2, *shape)
        before = {key: tensor.clone() for key, tensor in model.eval().state_dict().items()}
        together, alone = model(images), model(images[:1])
        assert torch.allclose(together[:1], alone, atol=SCORE_TOLERANCE), (
            "in evaluation mode the scores of an image depend on the other images of its batch"
        )
        torch.rand(5)  # whatever else draws from the global generator
        assert torch.equal(together, model(images)), "in evaluation mode the scores of the same images change"
    changed = [key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])]
    assert not changed, f"evaluation changes {', '.join(changed)}"


@torch.no_grad()
def check_plain_images(build: Build, shape: Shape, num_classes: int) -> None:
    """Check that images of a single value give finite scores in training mode: batch statistics are 0 there."""
    model = built(build, shape, num_classes).train()
    for value in (0.0, -3.0):
        with _seeded(1):
            finite = model(torch.full((2, *shape), value)).isfinite().all()
        assert finite, f"scores of images whose pixels are all {value:g} are not finite in training mode"


def check_seed(build: Build, shape: Shape, num_classes: int) -> None:
    """Check that the seed of torch's global generator decides the weights."""
    first, again, other = (_weights(built(build, shape, num_classes, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again), "two models built with the same seed have different weights"
    assert not torch.equal(first, other), "two models built with different seeds have the same weights"


def check_separate_builds(build: Build, shape: Shape, num_classes: int) -> None:
    """Check that two models share neither tensors nor modules."""
    one, other = (built(build, shape, num_classes) for _ in range(2))
    assert not set(one.modules()) & set(other.modules()), "two models that were built one after the other share modules"
    assert not _storages(one) & _storages(other), "two models that were built one after the other share tensors"


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _storages(model: nn.Module) -> set[int]:
    """Return the addresses of all tensors of a model."""
    return {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}


def _weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
