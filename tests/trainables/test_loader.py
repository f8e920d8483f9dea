from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_data import image_data, made_part, made_split

from trainables import loader as loader_module
from trainables.config import AUGMENTATIONS, LOSSES, NORMALIZATIONS, TrainConfig
from trainables.errors import ModelError
from trainables.evaluate import evaluate
from trainables.loader import Loader, normalization
from trainables.predictor import Predictor
from trainables.split import Split, split
from trainables.state import TrainState

torch.set_num_threads(1)
CPU = torch.device("cpu")


def numbered(n: int, **config) -> Loader:
    """A loader of n images, each filled with its own number, as is its label."""
    numbers = np.arange(n)
    part = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (n, 2, 2, 1)).copy(), numbers
    return Loader(Split(image_data(part, part), numbers, numbers, "test"), TrainConfig(normalize="none", **config), CPU)


def order(loader: Loader, epoch: int) -> list[int]:
    return [number for _, labels in loader.training(epoch) for number in labels.tolist()]


def test_every_image_comes_once_an_epoch():
    loader = numbered(10, batch_size=4)
    for epoch in range(3):
        assert [len(labels) for _, labels in loader.training(epoch)] == [4, 4, 2]
        assert sorted(order(loader, epoch)) == list(range(10))
    assert len(loader) == 3
    assert loader.n_train == 10


def test_each_image_comes_with_its_label():
    for images, labels in numbered(50, batch_size=8).training(0):
        assert torch.equal((images * 255).round(), labels.view(-1, 1, 1, 1).expand_as(images).float())


def test_the_order_is_new_each_epoch_and_given_by_the_seed():
    loader = numbered(50, batch_size=8, seed=1)
    assert order(loader, 0) != order(loader, 1)
    assert order(loader, 0) == order(loader, 0) == order(numbered(50, batch_size=8, seed=1), 0)
    assert order(loader, 0) != order(numbered(50, batch_size=8, seed=2), 0)


def test_a_last_batch_of_one_image_is_left_out():
    loader = numbered(9, batch_size=4)
    assert len(loader) == 2
    assert [len(labels) for _, labels in loader.training(0)] == [4, 4]
    assert set().union(*(order(loader, epoch) for epoch in range(5))) == set(range(9))


def test_batches_of_one_image_are_all_kept():
    loader = numbered(5, batch_size=1)
    assert len(loader) == 5
    assert sorted(order(loader, 0)) == list(range(5))


def test_only_the_training_part_trains_and_only_the_rest_validates():
    parts = made_split()
    loader = Loader(parts, TrainConfig(normalize="none"), CPU)

    def pixels(batches) -> list[bytes]:
        return sorted(
            (image.permute(1, 2, 0) * 255).round().byte().numpy().tobytes() for images, _ in batches for image in images
        )

    assert pixels(loader.training(0)) == sorted(image.tobytes() for image in parts.data.train_images[parts.train])
    assert pixels(loader.validation()) == sorted(image.tobytes() for image in parts.data.train_images[parts.validation])
    assert pixels(loader.test()) == sorted(image.tobytes() for image in parts.data.test_images)


@pytest.mark.parametrize(("validation", "part"), [("test", "test"), ("own", "validation")])
def test_the_test_set_or_the_data_set_s_own_validates_where_none_is_set_aside(validation, part):
    images, labels = made_part(3, 4, 3, 16)
    data = replace(made_split().data, validation_images=images, validation_labels=labels)
    parts = split(data, validation=validation, train_fraction=1, seed=0)
    ((given, given_labels),) = Loader(parts, TrainConfig(normalize="none"), CPU).validation()
    expected = torch.from_numpy(getattr(data, f"{part}_images")).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(given, expected)
    assert given_labels.tolist() == getattr(data, f"{part}_labels").tolist()


def test_the_rest_of_a_fraction_validates():
    data = made_split().data
    loader = Loader(split(data, validation="rest", train_fraction=0.7, seed=0), TrainConfig(normalize="none"), CPU)
    seen = [image.numpy().tobytes() for images, _ in (*loader.training(0), *loader.validation()) for image in images]
    assert len(seen) == len(set(seen)) == len(data.train_images)


def test_the_training_images_can_be_had_in_order_and_not_augmented():
    parts = split(made_split().data, validation=0.2, train_fraction=0.5, seed=0)
    loader = Loader(parts, TrainConfig(normalize="none", augment="crop+gamma", enlarge="rotate", batch_size=7), CPU)
    images, labels = (torch.cat(part) for part in zip(*loader.training_in_order(), strict=True))
    torch.testing.assert_close(
        images * 255, torch.from_numpy(parts.data.train_images[parts.train]).permute(0, 3, 1, 2).float()
    )
    assert labels.tolist() == parts.data.train_labels[parts.train].tolist()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_pixels_are_normalised(normalize, channels):
    data = image_data(made_part(3, 20, 1, 8, channels), made_part(3, 5, 2, 8, channels))
    loader = Loader(
        split(data, validation="test", train_fraction=1, seed=0), TrainConfig(normalize=normalize, batch_size=60), CPU
    )
    scaled = {part: getattr(data, f"{part}_images").transpose(0, 3, 1, 2) / 255 for part in ("train", "test")}
    mean, std = scaled["train"].mean((0, 2, 3), keepdims=True), scaled["train"].std((0, 2, 3), keepdims=True)
    imagenet = [
        np.reshape(part[:channels], (1, channels, 1, 1)) for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    ]
    mean, std = {"dataset": (mean, std), "half": (0.5, 0.5), "imagenet": imagenet, "none": (0, 1)}[normalize]
    (images, _), *_ = loader.test()
    np.testing.assert_allclose(images, (scaled["test"] - mean) / std, atol=1e-5)
    (images, _), *_ = loader.training(0)
    np.testing.assert_allclose(np.sort(images.flatten()), np.sort(((scaled["train"] - mean) / std).ravel()), atol=1e-5)


def test_the_data_set_s_own_statistics_give_mean_0_and_deviation_1():
    loader = Loader(
        split(made_split().data, validation="test", train_fraction=1, seed=0), TrainConfig(batch_size=1000), CPU
    )
    (images, _), *_ = loader.training(0)
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert images.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


@pytest.mark.parametrize("params", [{}, {"augment": "rotate"}, {"enlarge": "gamma"}, {"resize": 24}], ids=str)
def test_batches_are_single_precision_channels_last(params):
    images, labels = next(Loader(made_split(), TrainConfig(**params), CPU).training(0))
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64


def test_training_leaves_the_data_as_it_was():
    parts = made_split()
    before = parts.data.train_images.copy()
    loader = Loader(parts, TrainConfig(augment="+".join(AUGMENTATIONS), enlarge="gamma", resize=8), CPU)
    assert len(list(loader.training(0))) == len(loader)
    assert np.array_equal(parts.data.train_images, before)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_score_is_the_mean_over_images_whatever_the_batches(monkeypatch, loss):
    config = TrainConfig(loss=loss, label_smoothing=0.3)
    loader, model = Loader(made_split(), config, CPU), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3))
    images, labels = (torch.cat(parts) for parts in zip(*loader.validation(), strict=True))
    scores = model(images)
    right = F.one_hot(labels, 3)
    each = {"cross_entropy": -(scores.log_softmax(1) * right).sum(1), "squared_error": (scores - right).square().sum(1)}
    expected = each[loss].mean().item(), (scores.argmax(1) == labels).float().mean().item()
    monkeypatch.setattr(loader_module, "EVALUATION_BATCH_PIXELS", 7 * 16 * 16)
    assert [len(labels) for _, labels in loader.validation()] == [7, 7, 4]
    assert evaluate(config, model, loader.validation()) == pytest.approx(expected, rel=1e-5)


def test_a_score_is_taken_without_dropout():
    loader, model = (
        Loader(made_split(), TrainConfig(), CPU),
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(768, 3)),
    )
    model.train()
    scores = [evaluate(loader.config, model, loader.test()) for _ in range(3)]
    assert scores == [scores[0]] * 3


@pytest.mark.parametrize(("resize", "first"), [(0, 1000), (32, 1000), (64, 250), (320, 10), (2000, 1)])
def test_fewer_large_images_are_evaluated_at_once(resize, first):
    """As many pixels, not as many images: what is held does not depend on the resizing."""
    images, labels = next(numbered(1200, resize=resize).test())
    assert len(images) == len(labels) == first


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_the_predictor_sees_what_the_loader_gives(normalize):
    parts, config = made_split(), TrainConfig(normalize=normalize)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)).eval()
    (images, _), *_ = Loader(parts, config, CPU).test()
    raw = torch.from_numpy(parts.data.test_images).permute(0, 3, 1, 2)
    probabilities = Predictor(model, *normalization(parts.data, config))(raw)
    torch.testing.assert_close(probabilities, model(images).softmax(1))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(raw)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [10, 16, 37])
def test_a_network_is_given_images_of_the_size_asked_for(size, channels):
    parts = made_split(channels=channels)
    config = TrainConfig(resize=size, model="mlp", augment="crop", batch_size=64)
    state = TrainState.create(config, parts.data.input_shape, 3, CPU)
    loader = Loader(parts, config, CPU)
    for batches in (loader.training(0), loader.training_in_order(), loader.validation(), loader.test()):
        for images, labels in batches:
            assert images.shape == (len(labels), channels, size, size)
            assert state.model(images).shape == (len(labels), 3)


@pytest.mark.parametrize("size", [9, 23])
def test_images_are_resized_as_torchvision_does(size):
    from torchvision.transforms.v2.functional import resize

    parts = made_split()
    ((given, _),) = Loader(parts, TrainConfig(resize=size, normalize="none"), CPU).test()
    images = torch.from_numpy(parts.data.test_images).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(given, resize(images, [size, size], antialias=True), atol=1e-5, rtol=0)


def test_images_that_are_not_square_become_so():
    images = np.broadcast_to(np.arange(0, 200, 10, dtype=np.uint8)[None, None, :, None], (4, 10, 20, 1)).copy()
    data = image_data((images, np.arange(4) % 2), (images, np.arange(4) % 2))
    parts = split(data, validation="test", train_fraction=1, seed=0)
    ((given, _),) = Loader(parts, TrainConfig(resize=10, normalize="none"), CPU).test()
    assert given.shape == (4, 1, 10, 10)
    assert torch.equal(given, given[:, :, :1].expand_as(given))
    torch.testing.assert_close(255 * given[0, 0, 0, 2:-2], torch.arange(45.0, 150, 20), atol=1e-3, rtol=0)


def test_a_model_that_cannot_have_the_new_size_refuses_it():
    with pytest.raises(ModelError, match="not 12x12"):
        TrainState.create(TrainConfig(resize=12), (3, 32, 32), 3, CPU)
    assert TrainState.create(TrainConfig(resize=32), (3, 8, 8), 3, CPU)


@pytest.mark.parametrize("size", [10, 37])
def test_the_predictor_resizes_as_the_loader_does(size):
    parts, config = made_split(), TrainConfig(resize=size)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * size * size, 3)).eval()
    (images, _), *_ = Loader(parts, config, CPU).test()
    raw = torch.from_numpy(parts.data.test_images).permute(0, 3, 1, 2)
    before = raw.clone()
    predictor = Predictor(model, *normalization(parts.data, config), resize=size)
    torch.testing.assert_close(predictor(raw), model(images).softmax(1))
    assert torch.equal(raw, before)
