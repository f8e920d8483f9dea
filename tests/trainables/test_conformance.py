"""What every file in trainables/models and trainables/datasets has to keep to."""

import inspect
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_data import MAKERS, weights

import trainables.datasets
import trainables.models
from trainables import module_folder
from trainables.config import TrainConfig
from trainables.image_data import ImageData
from trainables.split import default_validation, split
from trainables.state import TrainState

torch.set_num_threads(1)
CPU = torch.device("cpu")
NAMES = module_folder.names(trainables.models)
SHAPES = ((1, 32, 32), (3, 32, 32), (1, 64, 64), (3, 64, 64))
models = pytest.mark.parametrize("name", NAMES)


def build(name: str, shape: tuple[int, int, int] = (3, 32, 32), num_classes: int = 7) -> torch.nn.Module:
    torch.manual_seed(0)
    return module_folder.module(trainables.models, name).build(shape, num_classes)


@pytest.fixture(
    scope="module",
    params=itertools.product(NAMES, SHAPES),
    ids=lambda param: f"{param[0]}-{'x'.join(map(str, param[1]))}",
)
def built(request) -> tuple[torch.nn.Module, tuple[int, int, int]]:
    """A model and the shape it is for; built once for all tests that take both."""
    name, shape = request.param
    return build(name, shape), shape


@torch.no_grad()
def test_a_model_gives_a_finite_score_for_each_class(built):
    model, shape = built
    for mode in (True, False):
        scores = model.train(mode)(torch.randn(2, *shape))
        assert scores.shape == (2, 7)
        assert scores.isfinite().all()


def test_gradient_reaches_every_parameter(built):
    model, shape = built
    model.train().zero_grad()
    F.cross_entropy(model(torch.randn(3, *shape)), torch.arange(3)).backward()
    without = [key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert without == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@torch.no_grad()
def test_in_evaluation_an_image_is_judged_by_itself_and_always_the_same(built):
    model, shape = built
    images = torch.rand(2, *shape)
    before = {key: tensor.clone() for key, tensor in model.eval().state_dict().items()}
    together = model(images)
    assert torch.allclose(together[:1], model(images[:1]), atol=1e-4)
    torch.rand(5)  # whatever else draws from the global generator
    assert torch.equal(together, model(images))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@models
@torch.no_grad()
def test_plain_images_give_finite_scores_in_training(name):
    model = build(name).train()
    for images in (torch.zeros(2, 3, 32, 32), torch.full((2, 3, 32, 32), -3.0)):
        assert model(images).isfinite().all()


@models
def test_the_seed_decides_the_weights(name):
    def of(seed: int) -> torch.Tensor:
        return weights(TrainState.create(TrainConfig(model=name, seed=seed), (3, 32, 32), 7, CPU).model)

    first = of(1)
    torch.rand(5)  # whatever else draws from the global generator
    assert torch.equal(first, of(1))
    assert not torch.equal(first, of(2))


@models
def test_a_model_takes_its_options_by_keyword_only(name):
    taken = list(inspect.signature(module_folder.module(trainables.models, name).build).parameters.values())
    assert [p.name for p in taken[:2]] == ["input_shape", "num_classes"]
    assert [p.name for p in taken[2:] if p.kind is not p.KEYWORD_ONLY or p.default is p.empty] == []


@models
def test_two_builds_share_nothing(name):
    one, other = build(name), build(name)
    held = {tensor.untyped_storage().data_ptr() for tensor in [*one.parameters(), *one.buffers()]}
    assert not held & {tensor.untyped_storage().data_ptr() for tensor in [*other.parameters(), *other.buffers()]}
    assert not {id(module) for module in one.modules()} & {id(module) for module in other.modules()}


@models
def test_an_unknown_option_is_refused_as_a_model_error(name):
    from trainables.errors import ModelError

    with pytest.raises(ModelError, match="no_such_option"):
        TrainState.create(TrainConfig(model=name, model_options={"no_such_option": 1}), (3, 32, 32), 7, CPU)


@pytest.fixture(scope="module", params=module_folder.names(trainables.datasets))
def made(request, tmp_path_factory):
    """Loads a tiny instance of a data set, laid out as that one is."""
    maker = MAKERS.get(request.param)
    if maker is None:
        pytest.fail(f"no tiny instance of the data set {request.param!r}: add a maker to tests/trainables/made_data.py")
    root = tmp_path_factory.mktemp(request.param)
    options = maker(root)
    return lambda: module_folder.module(trainables.datasets, request.param).load(root, **options)


@pytest.fixture(scope="module")
def data(made) -> ImageData:
    return made()


def parts(data: ImageData) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test set, and the validation set of a data set that has one of its own."""
    found = [(data.train_images, data.train_labels), (data.test_images, data.test_labels)]
    if data.validation_labels is not None:
        found.append((data.validation_images, data.validation_labels))
    return found


def test_a_data_set_is_bytes_channels_last_and_whole_numbers(data):
    for images, labels in parts(data):
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), *data.train_images.shape[1:])
        assert images.shape[3] in (1, 3)
        assert labels.dtype == np.int64
        assert labels.ndim == 1
    channels, height, width = data.input_shape
    assert data.train_images.shape[1:] == (height, width, channels)


def test_a_validation_set_of_its_own_is_there_as_a_whole_or_not_at_all(data):
    assert (data.validation_images is None) == (data.validation_labels is None)


def test_no_image_is_in_two_parts(data):
    held = [{image.tobytes() for image in images} for images, _ in parts(data)]
    assert not [one & other for one, other in itertools.combinations(held, 2) if one & other]


def test_a_data_set_is_validated_on_its_own_validation_set_if_it_has_one(data):
    own = data.validation_labels is not None
    assert (default_validation(data) == "own") is own
    fitting = split(data, validation="own" if own else 0.5, train_fraction=1, seed=0)
    assert fitting.validation_part == ("validation" if own else "train")
    assert len(fitting.train) + (0 if own else len(fitting.validation)) == len(data.train_labels)
    assert not own or len(fitting.validation) == len(data.validation_labels)


def test_every_class_is_in_every_part_and_no_other_label(data):
    for _, labels in parts(data):
        assert set(labels.tolist()) == set(range(len(data.classes)))
    assert len(set(data.classes)) == len(data.classes)


def test_a_data_set_decoded_again_is_the_same(data, made, tmp_path, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path))
    again = made()
    assert list(tmp_path.iterdir())  # it was not read from the first one's cache
    assert again.fingerprint == data.fingerprint
    assert again.classes == data.classes
    for (images, labels), (images_again, labels_again) in zip(parts(data), parts(again), strict=True):
        assert np.array_equal(images, images_again)
        assert np.array_equal(labels, labels_again)


def test_mean_and_standard_deviation_are_those_of_the_training_images(data):
    scaled = np.asarray(data.train_images, np.float64) / 255
    assert data.mean == pytest.approx(scaled.mean((0, 1, 2)), abs=1e-9)
    assert data.std == pytest.approx(scaled.std((0, 1, 2)), abs=1e-9)


@pytest.mark.parametrize(("package", "near"), [(trainables.models, "lenett"), (trainables.datasets, "cifar_10")])
def test_an_unknown_name_is_answered_with_the_known_ones(package, near):
    with pytest.raises(module_folder.UnknownName) as error:
        module_folder.module(package, near)
    assert near in str(error.value)
    assert "did you mean" in str(error.value)
    assert all(name in str(error.value) for name in module_folder.names(package))
