"""What every file in trainables/models and trainables/datasets has to keep to."""

import inspect
import itertools

import pytest
import torch
from made_data import MAKERS, weights

import trainables.datasets
import trainables.models
from trainables import dataset_checks, model_checks, module_folder
from trainables.config import TrainConfig
from trainables.image_data import ImageData
from trainables.split import default_validation, split
from trainables.state import TrainState
from trainables.testing import INPUT_SHAPES, check_dataset, check_model

torch.set_num_threads(1)
CPU = torch.device("cpu")
NAMES = module_folder.names(trainables.models)
SHAPE, CLASSES = (3, 32, 32), 7
models = pytest.mark.parametrize("name", NAMES)


def build_of(name: str) -> model_checks.Build:
    return module_folder.module(trainables.models, name).build


@pytest.fixture(
    scope="module",
    params=itertools.product(NAMES, INPUT_SHAPES),
    ids=lambda param: f"{param[0]}-{'x'.join(map(str, param[1]))}",
)
def built(request) -> tuple[torch.nn.Module, tuple[int, int, int]]:
    """A model and the shape it is for; built once for all tests that take both."""
    name, shape = request.param
    return model_checks.built(build_of(name), shape, CLASSES), shape


def test_a_model_gives_a_finite_score_for_each_class(built):
    model, shape = built
    model_checks.check_scores(model, shape, CLASSES)


def test_gradient_reaches_every_parameter(built):
    model_checks.check_gradients(*built)
    assert all(parameter.requires_grad for parameter in built[0].parameters())


def test_in_evaluation_an_image_is_judged_by_itself_and_always_the_same(built):
    model_checks.check_evaluation(*built)


@models
def test_plain_images_give_finite_scores_in_training(name):
    model_checks.check_plain_images(build_of(name), SHAPE, CLASSES)


@models
def test_the_seed_decides_the_weights(name):
    def of(seed: int) -> torch.Tensor:
        return weights(TrainState.create(TrainConfig(model=name, seed=seed), SHAPE, CLASSES, CPU).model)

    first = of(1)
    torch.rand(5)  # whatever else draws from the global generator
    assert torch.equal(first, of(1))
    assert not torch.equal(first, of(2))
    model_checks.check_seed(build_of(name), SHAPE, CLASSES)


@models
def test_a_model_takes_its_options_by_keyword_only(name):
    model_checks.check_signature(build_of(name))
    assert list(inspect.signature(build_of(name)).parameters)[:2] == ["input_shape", "num_classes"]


@models
def test_two_builds_share_nothing(name):
    model_checks.check_separate_builds(build_of(name), SHAPE, CLASSES)


@models
def test_a_model_conforms_as_a_whole(name):
    """What people call who add their own."""
    check_model(build_of(name), input_shapes=[SHAPE], num_classes=CLASSES)


@models
def test_an_unknown_option_is_refused_as_a_model_error(name):
    from trainables.errors import ModelError

    with pytest.raises(ModelError, match="no_such_option"):
        TrainState.create(TrainConfig(model=name, model_options={"no_such_option": 1}), SHAPE, CLASSES, CPU)


@pytest.fixture(scope="module", params=module_folder.names(trainables.datasets))
def made(request, tmp_path_factory):
    """A tiny instance of a data set, laid out as that one is: its `load` and what it takes."""
    maker = MAKERS.get(request.param)
    if maker is None:
        pytest.fail(f"no tiny instance of the data set {request.param!r}: add a maker to tests/trainables/made_data.py")
    root = tmp_path_factory.mktemp(request.param)
    options = maker(root)
    return module_folder.module(trainables.datasets, request.param).load, root, options


@pytest.fixture(scope="module")
def data(made) -> ImageData:
    load, root, options = made
    return load(root, **options)


def test_a_data_set_is_bytes_channels_last_and_whole_numbers(data):
    dataset_checks.check_arrays(data)
    channels, height, width = data.input_shape
    assert data.train_images.shape[1:] == (height, width, channels)


def test_a_validation_set_of_its_own_is_there_as_a_whole_or_not_at_all(data):
    assert (data.validation_images is None) == (data.validation_labels is None)


def test_no_image_is_in_two_parts_and_all_are_grey_or_in_colour(data):
    dataset_checks.check_parts(data)


def test_a_data_set_is_validated_on_its_own_validation_set_if_it_has_one(data):
    own = data.validation_labels is not None
    assert (default_validation(data) == "own") is own
    fitting = split(data, validation="own" if own else 0.5, train_fraction=1, seed=0)
    assert fitting.validation_part == ("validation" if own else "train")
    assert len(fitting.train) + (0 if own else len(fitting.validation)) == len(data.train_labels)
    assert not own or len(fitting.validation) == len(data.validation_labels)


def test_every_class_is_in_every_part_and_no_other_label(data):
    dataset_checks.check_classes(data)
    for _, labels in dataset_checks.parts(data).values():
        assert set(labels.tolist()) == set(range(len(data.classes)))


def test_a_data_set_decoded_again_is_the_same(data, made, tmp_path, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path))
    load, root, options = made
    again = load(root, **options)
    assert list(tmp_path.iterdir())  # it was not read from the first one's cache
    dataset_checks.check_same(data, again)


def test_mean_and_standard_deviation_are_those_of_the_training_images(data):
    dataset_checks.check_statistics(data)


def test_a_data_set_conforms_as_a_whole(data, made):
    """What people call who add their own."""
    load, root, options = made
    assert check_dataset(load, root, **options).fingerprint == data.fingerprint


@pytest.mark.parametrize(("package", "near"), [(trainables.models, "lenett"), (trainables.datasets, "cifar_10")])
def test_an_unknown_name_is_answered_with_the_known_ones(package, near):
    with pytest.raises(module_folder.UnknownName) as error:
        module_folder.module(package, near)
    assert near in str(error.value)
    assert "did you mean" in str(error.value)
    assert all(name in str(error.value) for name in module_folder.names(package))
