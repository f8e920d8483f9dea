"""A model that cannot be trained on the images is refused before any trial begins, with the key to change."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import write_picture_folders

import trainables.models
from search.preflight import models
from search.run import main
from search.spec.loader import load
from trainables import named_model
from trainables.image_data import ImageData

torch.set_num_threads(1)
NUMBERS = itertools.count()
SPEC = """\
name: made
data: {name: image_folder, folder: pictures}
model: lenet
space:
  lr: {loguniform: [1e-4, 1e-1]}
  batch_size: 4
sampler: {name: random}
scheduler: {max_epochs: 2}
budget: {trials: 2}
resources: {gpu: 0}
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a right spec and made pictures of 16 x 16."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEARCH_DATA_DIR", raising=False)
    (tmp_path / "made.yaml").write_text(SPEC)
    write_picture_folders(tmp_path / "data/pictures", ("cat", "dog", "newt"), {"train": 10, "test": 2}, size=16)
    return tmp_path


@pytest.fixture
def refused(world: Path, capsys: pytest.CaptureFixture):
    """Runs the command, which must end with 2, make no results, and print no traceback; its messages."""

    def run(*changes: str) -> list[str]:
        overrides = [part for change in changes for part in ("--set", change)]
        assert main(["made.yaml", "--in-process", *overrides]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert not (world / "results").exists()
        return [line.removeprefix("error: ") for line in printed.err.splitlines()]

    return run


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a file in trainables/models/; the name of the model."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(trainables.models, "__path__", [*trainables.models.__path__, str(folder)])

    def write(body: str, options: str = "") -> str:
        name = f"checked_{next(NUMBERS)}"  # an imported module is kept
        signature = (
            f"def build(input_shape, num_classes, *, {options}):" if options else "def build(shape, num_classes):"
        )
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (folder / f"{name}.py").write_text(f"import torch\nfrom torch import nn\n\n\n{signature}\n{lines}")
        return name

    return write


def image_data(side: int, channels: int = 3, n_classes: int = 3) -> ImageData:
    images, labels = np.zeros((4, side, side, channels), np.uint8), np.arange(4) % n_classes
    return ImageData(
        "made", tuple(f"class {i}" for i in range(n_classes)), images, labels, images, labels, (0.5,), (0.5,), "made"
    )


@pytest.fixture
def problems(tmp_path: Path):
    """What is found wrong with a model and a space, on images of so many pixels a side: `key: text`."""

    def find(model: object, side: int = 32, **space: object) -> list[str]:
        content = {"name": "made", "data": "digits", "model": model, "space": space, "budget": {"trials": 2}}
        path = tmp_path / "made.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return [f"{p.key}: {p.text}" for p in models.problems(load(path), image_data(side))]

    return find


# Through the command


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "search"])
def test_a_model_for_larger_images_is_refused_with_its_line(world, capsys, dry):
    assert main(["made.yaml", "--in-process", "--set", "model=vgg11", *(["--dry-run"] if dry else [])]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: made.yaml:3: model: vgg11 needs images of 32x32 or more, not 16x16")
    assert len(printed.err.splitlines()) == 1
    assert not (world / "results").exists()


def test_a_wrong_option_is_refused_at_its_line(refused, world):
    (world / "made.yaml").write_text(SPEC.replace("  batch_size: 4\n", "  batch_size: 4\n  pooling: averag\n"))
    assert refused() == ["made.yaml:7: space.pooling: pooling must be one of max, average, not 'averag'"]


def test_everything_wrong_is_reported_at_once(refused):
    wrong = ("space.pooling={choice: [max, averag]}", "space.activation={choice: [relu, tan]}", "space.batch_size=40")
    messages = refused(*wrong)
    assert len(messages) == 3
    for words in ("space.pooling: ", "space.activation: activation must be one of relu, tanh, not 'tan'", "reaches 40"):
        assert any(words in message for message in messages)


def test_a_missing_file_of_weights_is_refused_at_its_key(refused):
    [message] = refused("model=torchvision/squeezenet1_0", "space.weights=no/such.pt", "space.resize=32")
    assert message.startswith("made.yaml:4: space.weights: weights: no file no/such.pt: name one, or imagenet")


def test_a_classifier_of_a_library_is_refused_where_the_images_are_too_small_for_it(refused):
    [message] = refused("model=torchvision/squeezenet1_0")
    assert message.startswith("made.yaml:3: model: torchvision/squeezenet1_0 on images of 16x16: ")
    assert message.endswith("resize gives it another size")


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [("mlp", "dropout", 1.5), ("mlp", "width", "wide"), ("fashionnet", "hidden", -1), ("cnn_sp", "dropout", "much")],
)
def test_an_option_out_of_bounds_is_refused_without_a_traceback(refused, model, option, value):
    [message] = refused(f"model={model}", f"space.{option}={value}")
    assert message.startswith("made.yaml:")
    assert option in message


def test_a_model_that_fits_is_searched(world, empty_database, capsys):
    (world / "mlflow.db").write_bytes(empty_database.read_bytes())
    assert main(["made.yaml", "--in-process", "--set", "model=mlp", "--set", "confirm=null", "--no-report"]) == 0
    assert "2 completed" in capsys.readouterr().out


def test_a_model_that_fits_once_resized_is_searched(world, empty_database, capsys):
    (world / "mlflow.db").write_bytes(empty_database.read_bytes())
    changes = ["model=fashionnet", "space.resize=8", "budget.trials=1", "confirm=null"]
    assert (
        main(["made.yaml", "--in-process", "--no-report", *(part for change in changes for part in ("--set", change))])
        == 0
    )
    assert "1 completed" in capsys.readouterr().out


# Sizes


def test_what_fits_has_no_problems(problems):
    assert problems("lenet", 16) == []
    assert (
        problems({"choice": ["lenet", "mlp", "tutorial_cnn"]}, 16, width={"choice": [4, 8], "when": {"model": "mlp"}})
        == []
    )


@pytest.mark.parametrize(
    ("side", "resize", "refused"),
    [
        (16, 32, []),
        (40, 16, [16]),
        (16, 0, [16]),
        (32, {"choice": [0, 32]}, []),
        (16, {"choice": [0, 32]}, [16]),
        (32, {"choice": [0, 20, 30]}, [20, 30]),
        (16, {"int": [31, 34]}, [31]),
        (16, {"int": [32, 34]}, []),
    ],
    ids=str,
)
def test_a_model_is_tried_at_the_sizes_that_images_are_resized_to(problems, side, resize, refused):
    found = problems("vgg11", side, classifier="linear", resize=resize)
    assert len(found) == len(refused)
    for size, text in zip(refused, found, strict=True):
        assert f"32x32 or more, not {size}x{size}" in text


def test_images_that_are_not_square_are_tried_as_they_are(tmp_path):
    (tmp_path / "made.yaml").write_text(SPEC.replace("lenet", "cnn_sp"))
    images = np.zeros((4, 12, 40, 1), np.uint8)
    data = ImageData("made", ("a", "b"), images, np.arange(4) % 2, images, np.arange(4) % 2, (0.5,), (0.5,), "made")
    [problem] = models.problems(load(tmp_path / "made.yaml"), data)
    assert "13x13 or more, not 40x12" in problem.text


# Options


@pytest.mark.parametrize(
    ("model", "space", "keys"),
    [
        ("lenet", {"pooling": {"choice": ["max", "median"]}}, ["space.pooling"]),
        ("lenet", {"pooling": {"choice": ["mean", "median"]}}, ["space.pooling"] * 2),
        ("lenet", {"pooling": "median", "activation": {"choice": ["relu", "tanh"]}}, ["space.pooling"]),
        ("vgg11", {"classifier": {"choice": ["hidden", "linear"]}, "dropout": {"uniform": [0, 0.5]}}, []),
        ("vgg11", {"classifier": {"grid": ["linear", "deep"]}}, ["space.classifier"]),
        ("mlp", {"depth": {"int": [0, 3]}, "taper": {"choice": [0.5, 1.0]}}, []),
        ("cnn_sp", {"pooling": {"choice": ["max", "average", "stochastic"]}}, []),
    ],
    ids=str,
)
def test_an_option_is_tried_at_each_value_that_it_may_take(problems, model, space, keys):
    assert [text.partition(": ")[0] for text in problems(model, **space)] == keys


@pytest.mark.parametrize(
    ("model", "space"),
    [
        ({"choice": ["lenet", "mlp"]}, {"pooling": "average"}),
        ({"choice": ["lenet", "mlp"]}, {"pooling": {"choice": ["max", "average"], "when": {"model": "lenet"}}}),
        ({"choice": ["lenet", "cnn_sp"]}, {"pooling": {"choice": ["max", "average"]}}),
    ],
    ids=str,
)
def test_an_option_is_tried_with_the_models_that_take_it(problems, model, space):
    assert problems(model, **space) == []


def test_one_of_several_models_that_does_not_fit_is_named(problems):
    [text] = problems({"choice": ["lenet", "vgg11"]}, 16)
    assert text.startswith("model: vgg11 needs images of 32x32 or more, not 16x16")


def test_a_model_that_is_searched_in_the_space_is_blamed_there(tmp_path):
    path = tmp_path / "made.yaml"
    path.write_text(
        SPEC.replace("model: lenet\n", "").replace("  batch_size: 4\n", "  model: {choice: [lenet, vgg11]}\n")
    )
    [problem] = models.problems(load(path), image_data(16))
    assert problem.key == "space.model"


def test_an_option_that_depends_on_another_is_tried_where_it_is_in_effect(problems, tmp_path):
    """To freeze random weights is refused; a search that freezes none but pretrained ones must not be."""
    path = tmp_path / "weights.pt"
    torch.save(named_model.build("torchvision/squeezenet1_0", (3, 32, 32), 3, {}).state_dict(), path)
    weights = {"choice": ["none", str(path)]}
    frozen = {"choice": [False, True], "when": {"weights": str(path)}}
    assert problems("torchvision/squeezenet1_0", weights=weights, frozen=frozen) == []
    [text] = problems("torchvision/squeezenet1_0", frozen={"choice": [False, True]})
    assert text.startswith("space.frozen: frozen needs weights")


def test_weights_of_another_network_are_refused_at_their_key(problems, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(named_model.build("lenet", (3, 32, 32), 3, {}).state_dict(), path)
    [text] = problems("torchvision/squeezenet1_0", weights=str(path))
    assert text.startswith(f"space.weights: weights: {path} is of another network")


@pytest.mark.parametrize(
    "space", [{"width": {"int": [1, 300]}}, {"width": {"logint": [1, 300]}}, {"resize": {"int": [1, 300]}}], ids=str
)
def test_a_wide_range_costs_no_more_than_its_ends(problems, monkeypatch, space):
    """A network that takes 50 ms would be built for 15 s, once a value."""
    built = []

    def build(*arguments):
        built.append(arguments)
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(1))  # three channels, three classes

    monkeypatch.setattr(named_model, "build", build)
    assert problems("mlp", **space) == []
    tried = [shape[1] if "resize" in space else options.get("width") for _, shape, _, options in built]
    assert {1, 300} <= set(tried)
    assert len(built) <= 20


# Models of one's own


def test_a_model_that_gives_other_than_a_score_for_each_class_is_refused(problems, own_model):
    name = own_model("return nn.Sequential(nn.Flatten(1), nn.LazyLinear(num_classes + 1))")
    assert problems(name) == [f"model: {name} on images of 32x32 gives (2, 4) for two images, not (2, 3)"]


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        ("raise RuntimeError('mat1 and mat2\\ncannot be multiplied')", "mat1 and mat2"),
        ("raise ValueError('too narrow')", "too narrow"),
        ("assert x.shape[2] == 5, 'five rows, please'", "five rows, please"),
        ("assert x.shape[2] == 5", ""),
        ("raise ValueError", ""),
    ],
)
def test_a_model_that_cannot_take_the_images_is_refused_with_what_it_says(problems, own_model, forward, words):
    name = own_model(f"class Net(nn.Module):\n    def forward(self, x):\n        {forward}\n\nreturn Net()")
    [text] = problems(name)
    assert text.startswith(f"model: {name} on images of 32x32: {words}")
    assert "cannot be multiplied" not in text


def test_options_of_a_model_of_ones_own_are_tried_too(problems, own_model):
    name = own_model(
        "from trainables.errors import ModelError\n"
        "if width > 4:\n"
        "    raise ModelError(f'width must be 4 at most, not {width}')\n"
        "return nn.Sequential(nn.Flatten(1), nn.LazyLinear(width), nn.LazyLinear(num_classes))",
        "width=4",
    )
    assert problems(name, width={"choice": [2, 4]}) == []
    assert problems(name, width={"choice": [4, 8]}) == ["space.width: width must be 4 at most, not 8"]
