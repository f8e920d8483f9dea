"""Every spec in spaces/: it is read, it passes a dry run, and its models train on images of its data set's shape."""

import itertools
import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.models as zoo
from conftest import write_picture_folders
from made_data import digits_mat_content, digits_mat_parts, made_part, write_cifar10_batches, write_digits_mat

from search import run
from search.preflight.dataset import find
from search.spec.loader import load
from trainables import named_model
from trainables.config import FIELDS, TrainConfig
from trainables.evaluate import evaluate
from trainables.loader import Loader
from trainables.state import TrainState
from trainables.training import train_step

torch.set_num_threads(1)
SPECS = sorted((Path(__file__).parent.parent / "spaces").glob("*.yaml"))
NAMED = {
    "lenet", "lenet_augmentation", "resnet18", "fashionnet", "model_zoo", "cnn_sp_flowers", "vgg16",
    "vgg16_train_fraction", "tutorial_cnn", "resnet9", "resnet9_augmentation", "digits_hidden", "digits_momentum",
    "digits_vectorisation", "digits_penalty", "digits_loss", "digits_bias", "digits_dropout", "digits_refit",
    "digits_augmentation", "digits_convolution", "digits_initialisation", "digits_halving",
}  # fmt: skip
STEPS = 2
specs = pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Made data sets, large enough for the smallest train fraction and the largest batch of any spec."""
    root = tmp_path_factory.mktemp("data")
    write_cifar10_batches(root, {"train": made_part(10, 720, 1), "test": made_part(10, 20, 2)})
    write_digits_mat(root, digits_mat_content(digits_mat_parts(30)))
    write_picture_folders(root / "flowers", ("daisy", "rose", "tulip"), {"train_data": 10, "test_data": 2}, 256)
    return root


@pytest.fixture(autouse=True)
def _world(tmp_path, monkeypatch, empty_database, imagenet_weights):
    """A folder and an empty record of the test's own, and ImageNet weights where torch looks for them."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("TORCH_HOME", str(imagenet_weights))


@pytest.fixture(scope="module")
def imagenet_weights(tmp_path_factory) -> Path:
    """A cache of torch's with random weights under the name of ResNet-18's."""
    home = tmp_path_factory.mktemp("torch")
    name = zoo.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    (home / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(zoo.resnet18().state_dict(), home / "hub" / "checkpoints" / name)
    return home


def test_the_published_studies_are_there():
    assert {path.stem for path in SPECS} >= NAMED


@specs
def test_a_spec_is_named_as_its_file_and_says_what_it_is(path):
    assert load(path).name == path.stem
    assert path.read_text().startswith("# ")


@specs
def test_a_spec_passes_a_dry_run(path, root, capsys):
    assert run.main([str(path), "--dry-run", "--in-process", "--data-dir", str(root)]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert path.stem in out
    assert "SUBSTITUTE" not in out


@specs
def test_the_models_of_a_spec_train(path, root):
    spec = load(path)
    source, data = find(spec.data, root)
    for model in spec.models:
        taken = {*FIELDS, *named_model.option_names(model)}
        params = {key: value for key, value in spec.space.middle().items() if key in taken}
        config = TrainConfig.from_params(params | {"model": model, "batch_size": 8})
        loader = Loader(source.split(data, config.train_fraction), config, torch.device("cpu"))
        state = TrainState.create(config, data.input_shape, len(data.classes), torch.device("cpu"))
        before = [p.detach().clone() for p in state.model.parameters() if p.requires_grad]
        state.model.train()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            losses = [
                train_step(config, state, images, labels)[0].item()
                for images, labels in itertools.islice(loader.training(0), STEPS)
            ]
        assert all(map(math.isfinite, losses)), (model, losses)
        after = [p for p in state.model.parameters() if p.requires_grad]
        assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True)), model
        loss, accuracy = evaluate(config, state.model, itertools.islice(loader.training(1), 1))
        assert np.isfinite(loss), model
        assert 0 <= accuracy <= 1
