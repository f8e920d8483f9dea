"""Models and data sets of the user's own, by dotted paths: refused, unless the command line allows them."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import PROJECT, write_spec

from search import lr_range
from search.cli.finish import resume_command
from search.errors import UserError
from search.run import main
from search.spec.loader import load
from trainables import named_dataset, named_model, own_code
from trainables.module_folder import UnknownName

NETS = """\
from torch import nn

def build(input_shape, num_classes, *, width: int = 4, deep: bool = False):
    channels, height, width_ = input_shape
    return nn.Sequential(nn.Flatten(1), nn.Linear(channels * height * width_, width), nn.ReLU(),
                         nn.Linear(width, num_classes))

def build_wide(input_shape, num_classes, *, factor: int = 2):
    return build(input_shape, num_classes, width=8 * factor)
"""
DATA = """\
from pathlib import Path

import numpy as np
from trainables.cache import Decoded, cached

def load(root, *, count=40, noise=0.1):
    def decode():
        random = np.random.default_rng(0)
        labels = np.arange(count) % 2
        images = random.integers(0, 99, (count, 8, 8, 1)) + 150 * labels[:, None, None, None]
        images = images.astype(np.uint8)
        return Decoded(("dark", "light"), images, labels, images[:10], labels[:10])
    return cached("cells", [Path(__file__)], decode, options=f"{count} {noise}")
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A working folder with a package of own code, in a process that has not been told of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    package = tmp_path / "mynets"
    package.mkdir()
    (package / "wide.py").write_text(NETS)
    (package / "cells.py").write_text(DATA)
    yield tmp_path
    own_code.allow(None)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    sys.modules.pop("mynets", None)


def spec(folder: Path, **sections: object) -> Path:
    small = {"space": {"lr": 0.01}, "scheduler": {"max_epochs": 2}, "budget": {"trials": 2}, "resources": {"gpu": 0}}
    return write_spec(folder / "own.yaml", **{**small, **sections})


def messages(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["own.yaml", "--in-process", "--dry-run", *arguments]) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def test_own_code_is_refused_unless_allowed_and_is_not_imported(world, capsys):
    for name in ("wide", "cells"):
        (world / "mynets" / f"{name}.py").write_text("open('imported', 'w')")
    spec(world, model="mynets.wide:build_wide", data="mynets.cells")
    said = messages(capsys)
    assert "own.yaml:3: model: mynets.wide:build_wide is code of your own: pass --allow-code to run it" in said
    assert "own.yaml:2: data.name: mynets.cells is code of your own: pass --allow-code to run it" in said
    spec(world, data={"name": "cifar10", "offline_substitute": "mynets.cells"})
    assert "own.yaml:4: data.offline_substitute: mynets.cells is code of your own" in messages(capsys)
    assert not (world / "imported").exists()


@pytest.mark.parametrize("key", ["allow_code", "allow-code", "code", "own_code"])
def test_nothing_but_the_command_line_allows_it(world, capsys, monkeypatch, key):
    for name in (key, "SEARCH_ALLOW_CODE", "ALLOW_CODE"):
        monkeypatch.setenv(name, "1")
    spec(world, model="mynets.wide", **{key: True})
    said = messages(capsys)
    assert "pass --allow-code" in said
    assert f"{key}: unknown key" in said


def test_one_launch_s_permission_is_not_the_next_one_s(world, capsys):
    spec(world, model="mynets.wide")
    assert main(["own.yaml", "--in-process", "--dry-run", "--allow-code"]) == 0
    assert "pass --allow-code" in messages(capsys)


def test_own_code_is_trained_in_this_process(world, empty_database):
    (world / "mlflow.db").write_bytes(empty_database.read_bytes())
    space = {"batch_size": 4, "factor": {"grid": [1, 2]}}
    data = {"name": "mynets.cells", "options": {"count": 60}}
    spec(world, model="mynets.wide:build_wide", data=data, space=space, confirm={"top": 1, "seeds": 1})
    assert main(["own.yaml", "--in-process", "--allow-code", "--no-report"]) == 0
    errors = list(world.glob("results/own/*/errors/*"))
    assert errors == []


@pytest.mark.ray
def test_own_code_is_trained_by_workers_of_ray(world, empty_database):
    (world / "mlflow.db").write_bytes(empty_database.read_bytes())
    spec(
        world,
        model={"choice": ["mynets.wide", "lenet"]},
        data="mynets.cells",
        space={"resize": 16, "batch_size": 4},
        scheduler={"name": "none", "max_epochs": 2},
        confirm=None,
    )
    command = [sys.executable, "-m", "search.run", "own.yaml", "--address", "local", "--no-report", "--allow-code"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "HOME": str(world)}
    done = subprocess.run(command, cwd=world, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials (2 completed)" in done.stdout, done.stdout


def test_its_options_are_checked_as_those_of_the_project_s_models(world):
    own_code.allow(str(world))

    def told(**sections: object) -> str:
        with pytest.raises(UserError) as caught:
            load(spec(world, **sections))
        return str(caught.value)

    assert "space.widht: unknown hyperparameter (did you mean 'width'?)" in told(
        model="mynets.wide", space={"widht": 3}
    )
    models = {"choice": ["lenet", "mynets.wide"]}
    assert "space.width: has an effect only where model is mynets.wide: add when" in told(
        model=models, space={"width": {"choice": [2, 4]}}
    )
    assert "data.options.cuont: mynets.cells does not take it" in told(
        data={"name": "mynets.cells", "options": {"cuont": 3}}
    )
    assert "data.folder: mynets.cells does not take it" in told(data={"name": "mynets.cells", "folder": "x"})
    found = load(spec(world, model=models, space={"width": {"choice": [2, 4], "when": {"model": "mynets.wide"}}}))
    assert found.models == ("lenet", "mynets.wide")


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        (None, "mynets.gone", "mynets.gone cannot be imported from "),
        (None, "gone.wide", "No module named 'gone'"),
        ("x = 1", "mynets.bad", "mynets.bad has no function 'build'"),
        ("build = 1", "mynets.bad", "mynets.bad has no function 'build'"),
        ("def biuld(): pass", "mynets.bad", "has no function 'build' (did you mean 'biuld'?)"),
        (None, "mynets.wide:build_wied", "(did you mean 'build_wide'?)"),
        ("\n\nraise KeyError('colour')", "mynets.bad", "KeyError: 'colour' (mynets/bad.py:3)"),
        ("import sys\nsys.exit(3)", "mynets.bad", "SystemExit: 3"),
        ("def build(:", "mynets.bad", "SyntaxError: "),
        ("def build(shape): pass", "mynets.bad", "must take 2 arguments, then its options behind a *"),
        ("def build(shape, n, width=3): pass", "mynets.bad", "must take 2 arguments"),
        ("def build(shape, n, **options): pass", "mynets.bad", "must take 2 arguments"),
        ("def build(shape, n, *, width): pass", "mynets.bad", "missing a required argument: 'width'"),
        ("def build(shape, n): return 3", "mynets.bad", "returned int, not a torch.nn.Module"),
        ("def build(shape, n): return {}['x']", "mynets.bad", "KeyError: 'x' (mynets/bad.py:1)"),
        ("def build(shape, n): return shape.x", "mynets.bad", "AttributeError: "),
        (
            "from torch import nn\nclass build(nn.Module):\n  def __init__(self, s, n): super().__init__()\n"
            "  def forward(self, x):\n    return {}['y']",
            "mynets.bad",
            "mynets.bad on images of 32x32: KeyError: 'y' (mynets/bad.py:5)",
        ),
        (
            "from torch import nn\ndef build(shape, n): return nn.Flatten()",
            "mynets.bad",
            "gives (2, 1024) for two images",
        ),
        (None, "os:system", "must take 2 arguments"),
        (None, "builtins:eval", "must take 2 arguments"),
    ],
)
def test_a_model_that_cannot_be_used_is_a_mistake_and_no_traceback(world, capsys, code, name, words):
    if code is not None:
        (world / "mynets" / "bad.py").write_text(code)
    spec(world, model=name)
    said = messages(capsys, "--allow-code")
    assert "own.yaml:3: model: " in said
    assert words in said


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def load(root): return 1", "mynets.bad returned int, not a trainables.image_data.ImageData"),
        ("def load(root): return {}['x']", "mynets.bad failed: KeyError: 'x' (mynets/bad.py:1)"),
        ("def load(): pass", "must take one argument"),
        (
            DATA.replace("images = images.astype(np.uint8)", "images = images.astype(np.uint8)[..., 0]"),
            "mynets.bad ",  # by the cache, or for its shape
        ),
        (DATA.replace("np.arange(count) % 2", "np.arange(count) % 3"), "no indices into its 2 classes"),
    ],
)  # fmt: skip
def test_a_data_set_that_cannot_be_used_is_a_mistake_and_no_traceback(world, capsys, code, words):
    (world / "mynets" / "bad.py").write_text(code.replace('"cells"', '"bad"'))
    spec(world, data="mynets.bad")
    said = messages(capsys, "--allow-code")
    assert "own.yaml:2: data" in said
    assert words in said


def test_own_code_never_takes_the_place_of_a_name_of_the_project(world):
    for name in ("lenet", "digits", "torch", "trainables"):
        (world / f"{name}.py").write_text("raise ImportError('not this one')")
    own_code.allow(str(world))
    assert sys.path[-1] == str(world)
    assert named_model.builder("lenet").__module__ == "trainables.models.lenet"
    assert named_dataset.loader("digits").__module__ == "trainables.datasets.digits"
    assert named_model.builder("timm/resnet18").func.__module__ == "trainables.libraries.timm"


@pytest.mark.parametrize(
    "name", ["../../x", "a..b", ".a", "a.", "a:", ":a", "a b.c", "a.b\n", "a.b:c.d", "1a.b", "a/b.c"]
)
def test_what_is_no_dotted_path_is_an_unknown_name(world, name):
    own_code.allow(str(world))
    assert not own_code.is_dotted(name)
    with pytest.raises(UnknownName):
        named_model.builder(name)


def test_the_command_to_resume_allows_it_too():
    options = SimpleNamespace(
        spec=Path("own.yaml"), set=[], results=None, address=None, data_dir="data", in_process=False, report=True,
        allow_code=True,
    )  # fmt: skip
    assert "--allow-code" in resume_command(options, "x").split()
    options.allow_code = False
    assert "--allow-code" not in resume_command(options, "x")


def test_the_range_test_takes_own_code_too(world, capsys):
    path = str(spec(world, model="mynets.wide", data="mynets.cells", space={"batch_size": 4}))
    assert lr_range.main([path]) == 2
    assert "pass --allow-code" in capsys.readouterr().err
    assert lr_range.main([path, "--allow-code", "--steps", "25"]) in (0, 1)


@pytest.mark.process
def test_training_alone_takes_own_code_too(world):
    command = [sys.executable, "-m", "trainables.train", "--model", "mynets.wide", "--data", "mynets.cells"]
    command += ["--epochs", "1", "--threads", "1", "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    refused = subprocess.run(command, cwd=world, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "pass --allow-code" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = subprocess.run([*command, "--allow-code"], cwd=world, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mynets.wide on cells" in done.stdout
