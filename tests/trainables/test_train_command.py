"""`python -m trainables.train`"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import write_picture_folders
from made_data import digits_mat_content, digits_mat_parts, write_digits_mat

from trainables import train

torch.set_num_threads(1)
pytestmark = pytest.mark.process
PROJECT = Path(__file__).parents[2]
EPOCH = r"epoch +{} +train loss \d+\.\d+ accuracy [01]\.\d+ +val loss (\d+\.\d+) accuracy ([01]\.\d+)"


@pytest.fixture(scope="module", autouse=True)
def started():
    """The command as a process of its own, begun before the other tests: importing torch is most of what it does."""
    arguments = ["--data", "digits", "--epochs", "1", "--threads", "1", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainables.train", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[str]:
    """Arguments that name a small data set."""
    root = tmp_path_factory.mktemp("root")
    write_picture_folders(root / "pets", ("cat", "dog"), {"train": 20, "test": 5}, size=16)
    return ["--data", "image_folder", "--data-dir", str(root), "--folder", "pets", "--threads", "1", "--device", "cpu"]


@pytest.fixture
def run(capsys):
    def run(*arguments: str) -> str:
        assert train.main(list(arguments)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def refusal(capsys):
    """What is written where the command does not end well."""

    def refusal(*arguments: str) -> str:
        try:
            code = train.main(list(arguments))
        except SystemExit as exit:  # by argparse, of arguments that cannot be read
            code = exit.code
            assert code == 2
        assert code in (1, 2)
        return capsys.readouterr().err

    return refusal


def test_hyperparameters_are_options(run, pictures):
    written = run(
        *pictures,
        "--epochs",
        "3",
        "--schedule",
        "constant",
        "--lr",
        "0.002",
        "--optimizer",
        "sgd",
        "--nesterov",
        "--batch-size",
        "8",
    )
    assert [bool(re.search(EPOCH.format(epoch), written)) for epoch in (1, 2, 3, 4)] == [True, True, True, False]
    assert "36 images" in written  # a tenth of 20 a class is set aside
    assert "lr 2.00e-03" in written


def test_the_test_set_is_scored_when_asked(run, pictures):
    written = run(*pictures, "--epochs", "1", "--validation", "test", "--test")
    loss, accuracy = re.search(EPOCH.format(1), written).groups()
    assert f"test loss {loss} accuracy {accuracy}" in written
    assert "test loss" not in run(*pictures, "--epochs", "1")


CHOICES = """--epochs 9 --early-stopping val_loss --patience 2 --optimizer sgd --lr 1e-30 --batch-size 300
    --enlarge gamma --resize 18 --loss squared_error --clip-norm 1 --refit-last-layer"""


def test_the_choices_of_training_are_options_too(run, pictures):
    written = run(*pictures, *CHOICES.split())
    assert [bool(re.search(EPOCH.format(epoch), written)) for epoch in (1, 2, 3, 4)] == [True, True, True, False]
    assert "1,116 images" in written  # 31 of each of 36


def test_the_rest_of_a_fraction_validates_when_asked(run, pictures):
    assert "10 images" in run(*pictures, "--epochs", "1", "--validation", "rest", "--train-fraction", "0.25")


def test_a_data_set_s_own_validation_set_is_used_unless_another_is_asked_for(run, tmp_path):
    write_digits_mat(tmp_path, digits_mat_content(digits_mat_parts()))
    digits = ["--data", "digits_mat", "--data-dir", str(tmp_path), "--device", "cpu", "--threads", "1", "--epochs", "1"]
    assert "30 images" in run(*digits)
    assert "20 images" in run(*digits, "--validation", "0.3")


@pytest.fixture
def val_loss(run, pictures):
    """What an epoch with these arguments gives."""

    def val_loss(*arguments: str) -> str:
        return re.search(EPOCH.format(1), run(*pictures, "--epochs", "1", *arguments))[1]

    return val_loss


def test_options_of_the_model_are_given_by_name(val_loss):
    assert val_loss("--option", "pooling=max") == val_loss() != val_loss("--option", "pooling=average")
    mlp = ["--model", "mlp", "--option", "depth=2", "--option"]
    assert val_loss(*mlp, "bias=true") == val_loss(*mlp, "width=100") != val_loss(*mlp, "width=50")


def test_switches_are_off_unless_they_are_turned_on(val_loss):
    assert val_loss() == val_loss("--no-refit-last-layer") != val_loss("--refit-last-layer")
    sgd = ["--optimizer", "sgd", "--batch-size", "8"]
    assert val_loss(*sgd) == val_loss(*sgd, "--no-nesterov") != val_loss(*sgd, "--nesterov")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--epochs 0", "epochs"),
        ("--lr -1", "lr"),
        ("--batch-size many", "batch-size"),
        ("--augment mirror", "augment"),
        ("--loss hinge", "loss"),
        ("--early-stopping train_loss", "early_stopping"),
        ("--patience 0", "patience"),
        ("--enlarge flip", "enlarge"),
        ("--resize -1", "resize"),
        ("--resize 12", "16x16"),
        ("--model lenett", "lenett"),
        ("--model timmm/resnet18", "timmm"),
        ("--option pooling=none", "pooling"),
        ("--option pooling", "KEY=VALUE"),
        ("--option =max", "KEY=VALUE"),
        ("--option no_such_option=1", "no_such_option"),
        ("--data cifar11", "cifar11"),
        ("--folder birds", "birds"),
        ("--train-fraction 0.001", "train_fraction"),
        ("--validation 0.001", "validation"),
        ("--validation some", "validation"),
        ("--validation own", "no validation set of its own"),
        ("--validation rest", "validation rest"),
        ("--validation -0.1", "validation"),
        ("--validation 1.5", "validation"),
        ("--device abacus", "device"),
        ("--threads 0", "threads"),
        ("--data digits", "folder"),
        ("--folder=", "folder"),
    ],
)
def test_a_bad_value_is_refused_by_name(refusal, pictures, arguments, named):
    assert named in refusal(*pictures, *arguments.split())


def test_images_too_small_for_the_model_are_refused(refusal, pictures, tmp_path):
    write_picture_folders(tmp_path / "tiny", ("cat", "dog"), {"train": 10, "test": 2}, size=8)
    assert "16x16" in refusal(*pictures, "--data-dir", str(tmp_path), "--folder", "tiny")


def test_the_command_trains(started):
    out, error = started.communicate()
    assert started.returncode == 0, error
    assert re.search(EPOCH.format(1), out), out
    assert "digits" in out


def test_every_bad_value_is_refused_in_one_line(refusal, pictures):
    error = refusal(*pictures, "--lr", "-1", "--optimizer", "adagrad")
    assert "lr: must be above 0" in error
    assert "optimizer: must be one of adam, adamw, sgd" in error
    assert len(error.splitlines()) == 1


def test_another_program_can_have_it_as_a_subcommand(pictures, capsys):
    parser = argparse.ArgumentParser(prog="program")
    train.add_arguments(parser.add_subparsers(dest="command").add_parser("train", description=train.DESCRIPTION))
    arguments = parser.parse_args(["train", *pictures, "--epochs", "1"])
    assert train.run(arguments) == 0
    assert re.search(EPOCH.format(1), capsys.readouterr().out)


def test_the_data_directory_is_that_of_searches(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCH_DATA_DIR", str(tmp_path))
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    assert parser.parse_args([]).data_dir == tmp_path


def test_arguments_are_described_before_torch_is_loaded():
    script = (
        "import argparse, sys\n"
        "from trainables import train\n"
        "parser = argparse.ArgumentParser()\n"
        "train.add_arguments(parser)\n"
        "parser.parse_args(['--epochs', '3', '--threads', '1'])\n"
        "assert len(parser.format_help()) > 1000\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)
