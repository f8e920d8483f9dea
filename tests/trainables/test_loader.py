import numpy as np
import pytest
import torch
from made_data import image_data, made_part, made_split

from trainables import loader as loader_module
from trainables.config import TrainConfig
from trainables.data import Split, split
from trainables.evaluate import evaluate
from trainables.loader import Loader, normalization
from trainables.predictor import Predictor

torch.set_num_threads(1)
CPU = torch.device("cpu")


def numbered(n: int, **config) -> Loader:
    """A loader of n images, each filled with its own number, as is its label."""
    numbers = np.arange(n)
    part = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (n, 2, 2, 1)).copy(), numbers
    return Loader(Split(image_data(part, part), np.arange(n), None), TrainConfig(normalize="none", **config), CPU)


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


def test_the_test_set_validates_where_none_is_set_aside():
    data = made_split().data
    loader = Loader(split(data, validation=None, train_fraction=1, seed=0), TrainConfig(), CPU)
    for validation, test in zip(loader.validation(), loader.test(), strict=True):
        assert torch.equal(validation[0], test[0])
        assert torch.equal(validation[1], test[1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("normalize", ["dataset", "half", "none"])
def test_pixels_are_normalised(normalize, channels):
    data = image_data(made_part(3, 20, 1, 8, channels), made_part(3, 5, 2, 8, channels))
    loader = Loader(
        split(data, validation=None, train_fraction=1, seed=0), TrainConfig(normalize=normalize, batch_size=60), CPU
    )
    scaled = {part: getattr(data, f"{part}_images").transpose(0, 3, 1, 2) / 255 for part in ("train", "test")}
    mean, std = scaled["train"].mean((0, 2, 3), keepdims=True), scaled["train"].std((0, 2, 3), keepdims=True)
    mean, std = {"dataset": (mean, std), "half": (0.5, 0.5), "none": (0, 1)}[normalize]
    (images, _), *_ = loader.test()
    np.testing.assert_allclose(images, (scaled["test"] - mean) / std, atol=1e-5)
    (images, _), *_ = loader.training(0)
    np.testing.assert_allclose(np.sort(images.flatten()), np.sort(((scaled["train"] - mean) / std).ravel()), atol=1e-5)


def test_the_data_set_s_own_statistics_give_mean_0_and_deviation_1():
    loader = Loader(
        split(made_split().data, validation=None, train_fraction=1, seed=0), TrainConfig(batch_size=1000), CPU
    )
    (images, _), *_ = loader.training(0)
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert images.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


def test_batches_are_single_precision_channels_last():
    images, labels = next(Loader(made_split(), TrainConfig(), CPU).training(0))
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64


def test_training_leaves_the_data_as_it_was():
    parts = made_split()
    before = parts.data.train_images.copy()
    loader = Loader(parts, TrainConfig(augment="flip+crop"), CPU)
    assert len(list(loader.training(0))) == len(loader)
    assert np.array_equal(parts.data.train_images, before)


def test_a_score_is_the_mean_over_images_whatever_the_batches(monkeypatch):
    loader, model = (
        Loader(made_split(), TrainConfig(), CPU),
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)),
    )
    images, labels = (torch.cat(parts) for parts in zip(*loader.validation(), strict=True))
    scores = model(images)
    expected = (
        torch.nn.functional.cross_entropy(scores, labels).item(),
        (scores.argmax(1) == labels).float().mean().item(),
    )
    monkeypatch.setattr(loader_module, "EVALUATION_BATCH", 7)
    assert len(list(loader.validation())) == 3
    assert evaluate(model, loader.validation(), torch.autocast("cpu", enabled=False)) == pytest.approx(
        expected, rel=1e-5
    )


def test_a_score_is_taken_without_dropout():
    loader, model = (
        Loader(made_split(), TrainConfig(), CPU),
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(768, 3)),
    )
    model.train()
    scores = [evaluate(model, loader.test(), torch.autocast("cpu", enabled=False)) for _ in range(3)]
    assert scores == [scores[0]] * 3


@pytest.mark.parametrize("normalize", ["dataset", "half", "none"])
def test_the_predictor_sees_what_the_loader_gives(normalize):
    parts, config = made_split(), TrainConfig(normalize=normalize)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)).eval()
    (images, _), *_ = Loader(parts, config, CPU).test()
    raw = torch.from_numpy(parts.data.test_images).permute(0, 3, 1, 2)
    probabilities = Predictor(model, *normalization(parts.data, config))(raw)
    torch.testing.assert_close(probabilities, model(images).softmax(1))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(raw)))
