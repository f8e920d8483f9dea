"""`python -m trainables.train`"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import write_picture_folders

from trainables import command

torch.set_num_threads(1)
PROJECT = Path(__file__).parents[2]
EPOCH = r"epoch +{} +train loss \d+\.\d+ accuracy [01]\.\d+ +val loss (\d+\.\d+) accuracy ([01]\.\d+)"


@pytest.fixture(scope="module", autouse=True)
def started():
    """Both commands at once: importing torch is most of what they do."""
    lines = {
        "good": ["--data", "digits", "--epochs", "1"],
        "bad": ["--data", "digits", "--lr", "-1", "--optimizer", "adagrad"],
    }
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", "trainables.train", *line, "--threads", "1", "--device", "cpu"],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for name, line in lines.items()
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[str]:
    """Arguments that name a small data set."""
    root = tmp_path_factory.mktemp("root")
    write_picture_folders(root / "pets", ("cat", "dog"), {"train": 20, "test": 5}, size=16)
    return ["--data", "image_folder", "--data-dir", str(root), "--folder", "pets", "--threads", "1", "--device", "cpu"]


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        command.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def refusal(run, capsys):
    """What is written where the command does not end well."""

    def refusal(*arguments: str) -> str:
        with pytest.raises(SystemExit) as exit:
            run(*arguments)
        assert exit.value.code not in (0, None)
        return str(exit.value.code) + capsys.readouterr().err

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


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--epochs 0", "epochs"),
        ("--lr -1", "lr"),
        ("--batch-size many", "batch-size"),
        ("--augment rotate", "augment"),
        ("--model lenett", "lenett"),
        ("--data cifar11", "cifar11"),
        ("--folder birds", "birds"),
        ("--train-fraction 0.001", "train_fraction"),
        ("--validation 0.001", "validation"),
        ("--validation some", "validation"),
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
    out, error = started["good"].communicate()
    assert started["good"].returncode == 0, error
    assert re.search(EPOCH.format(1), out), out
    assert "digits" in out


def test_the_command_refuses_bad_values_in_a_line(started):
    _, error = started["bad"].communicate()
    assert started["bad"].returncode != 0
    assert "lr: must be above 0" in error
    assert "optimizer: must be one of adam, adamw, sgd" in error
    assert "Traceback" not in error
