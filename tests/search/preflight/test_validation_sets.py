"""What a search is validated on: a part set aside, the data set's own validation set, the rest, or the test set."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_picture_folders
from made_data import digits_mat_content, write_digits_mat

from search.journal.journal import Journal
from search.preflight import dataset
from search.run import main
from search.spec.loader import load
from search.trial.data_source import DataSource
from trainables.datasets import cifar10
from trainables.image_data import DataError

torch.set_num_threads(1)
SPEC = """\
name: made
data: {name: digits_mat}
model: mlp
space:
  lr: 1e-2
  batch_size: 10
  width: 16
sampler: {name: random}
scheduler: {name: none, max_epochs: 4}
budget: {trials: 1}
resources: {gpu: 0}
confirm: {top: 1, seeds: 1}
"""
PER_CLASS = {"train": 12, "validation": 5, "test": 4}


def part(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits that are easy to tell apart: each has a bright block in a place of its own."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(10), per_class))
    images = random.integers(0, 40, (len(labels), 16, 16, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(label, 4)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 200
    return images, labels


@pytest.fixture
def world(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a right spec and made digits.mat, of which the validation set says it all wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEARCH_DATA_DIR", raising=False)
    monkeypatch.setattr(cifar10, "HOST", "localhost.invalid")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "made.yaml").write_text(SPEC)
    parts = {name: part(per_class, seed) for seed, (name, per_class) in enumerate(PER_CLASS.items())}
    images, labels = parts["validation"]
    parts["validation"] = images, (labels + 1) % 10
    write_digits_mat(tmp_path / "data", digits_mat_content(parts))
    return tmp_path


def run(*changes: str, options: tuple[str, ...] = ()) -> int:
    return main(
        ["made.yaml", "--in-process", "--no-report", *(a for change in changes for a in ("--set", change)), *options]
    )


@pytest.fixture
def refused(world, capsys):
    """Runs the command, which must end with 2 and begin nothing; the one message."""

    def refuse(*changes: str) -> str:
        assert run(*changes) == 2
        assert not (world / "results").exists()
        [line] = capsys.readouterr().err.splitlines()
        return line.removeprefix("error: ")

    return refuse


def source_of(*changes: str) -> tuple[DataSource, object]:
    return dataset.find(load(Path("made.yaml"), changes).data, Path("data"))


def last_metrics(world: Path) -> dict[str, dict[str, float]]:
    [path] = world.glob("results/made/*/journal.jsonl")
    journal = Journal(path)
    journal.close()
    return {record.phase: record.last for record in journal.records.values()}


# What is taken


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), "own"),
        (("data.validation=null",), "own"),
        (("data.validation=own",), "own"),
        (("data.validation=0.25",), 0.25),
        (("data.validation=rest",), "rest"),
        (("data.validation=test",), "test"),
        (("data=digits",), 0.1),
        (("data={name: digits, validation: test}",), "test"),
        (("data={name: cifar10, offline_substitute: digits}",), 0.1),
        (("data={name: cifar10, offline_substitute: digits_mat}",), "own"),
        (("data={name: cifar10, offline_substitute: digits_mat, validation: 0.3}",), 0.3),
    ],
    ids=str,
)
def test_a_data_set_is_validated_on_its_own_validation_set_unless_the_spec_says_otherwise(world, changes, expected):
    assert source_of(*changes)[0].validation == expected


@pytest.mark.parametrize(
    ("validation", "fraction", "train", "validated", "from_part"),
    [
        ("own", 1.0, 120, 50, "validation"),
        ("own", 0.5, 60, 50, "validation"),
        ("rest", 0.75, 90, 30, "train"),
        ("test", 1.0, 120, 40, "test"),
        ("0.25", 1.0, 90, 30, "train"),
        ("0.25", 1 / 3, 30, 30, "train"),
    ],
)
def test_a_run_sees_the_images_that_are_its(world, validation, fraction, train, validated, from_part):
    source, data = source_of(f"data.validation={validation}")
    parts = source.split(data, fraction)
    assert (len(parts.train), len(parts.validation), parts.validation_part) == (train, validated, from_part)
    if from_part == "train":
        assert not set(parts.train) & set(parts.validation)
    assert np.bincount(data.train_labels[parts.train]).tolist() == [train // 10] * 10


@pytest.mark.parametrize("validation", ["own", "rest", "test", 0.2])
def test_a_worker_is_told_what_it_is_validated_on(world, validation):
    source, data = source_of(f"data.validation={validation}")
    told = DataSource.from_content(json.loads(json.dumps(source.content())))
    assert told == source
    one, other = source.split(data, 0.5), told.split(told.load(), 0.5)
    assert np.array_equal(one.train, other.train)
    assert np.array_equal(one.validation, other.validation)
    assert one.validation_part == other.validation_part


# Whole searches


def test_a_search_validates_on_the_own_validation_set_and_scores_on_the_test_set(world):
    """All that is learned is wrong on this validation set, and right on the test set."""
    assert run() == 0
    last = last_metrics(world)
    assert last["search"]["train_accuracy"] > 0.9
    assert last["search"]["val_accuracy"] < 0.1
    assert "test_accuracy" not in last["search"]
    assert last["confirm"]["test_accuracy"] > 0.9


def test_a_search_validates_on_the_rest_of_the_training_images(world):
    assert run("data.validation=rest", "space.train_fraction=0.75") == 0
    last = last_metrics(world)
    assert last["search"]["val_accuracy"] > 0.9
    assert last["search"]["val_accuracy"] == pytest.approx(round(30 * last["search"]["val_accuracy"]) / 30)


def test_a_search_validates_on_the_test_set_where_it_is_told_to(world):
    assert run("data.validation=test") == 0
    last = last_metrics(world)
    assert last["search"]["val_accuracy"] > 0.9
    assert last["confirm"]["val_accuracy"] == last["confirm"]["test_accuracy"]
    assert last["confirm"]["val_loss"] == pytest.approx(last["confirm"]["test_loss"])


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        ("null", "its own validation set"),
        ("rest", "the rest of the training set"),
        ("test", "the test set"),
        ("0.25", "0.25 of each class"),
    ],
)
def test_a_dry_run_says_what_is_validated_on(world, capsys, validation, words):
    assert run(f"data.validation={validation}", "space.train_fraction=0.5", options=("--dry-run",)) == 0
    assert f"validated on {words}" in " ".join(capsys.readouterr().out.split())


# Refusals


def test_a_data_set_without_a_validation_set_cannot_be_validated_on_its_own(refused):
    message = refused("data={name: digits, validation: own}")
    assert message.startswith("made.yaml:2: data.validation: validation own: digits has no validation set of its own")


def test_a_substitute_without_a_validation_set_is_refused_as_well(refused):
    message = refused("data={name: cifar10, offline_substitute: digits, validation: own}")
    assert message.startswith("made.yaml:2: data.validation: ")
    assert "digits has no validation set of its own" in message


@pytest.mark.parametrize("fraction", ["1.0", "{grid: [0.1, 1.0]}", "{uniform: [0.5, 1.0]}", "0.99"])
def test_the_rest_of_all_is_nothing_to_validate_on(refused, fraction):
    message = refused("data.validation=rest", f"space.train_fraction={fraction}")
    assert message.startswith("made.yaml:2: data.validation: validation rest of train_fraction ")
    assert "none to validate on" in message
    assert message.endswith("lower space.train_fraction")


def test_the_whole_training_set_is_what_the_rest_is_taken_of_where_nothing_is_said(refused):
    assert "rest of train_fraction 1 leaves class" in refused("data.validation=rest")


def test_a_fraction_that_leaves_nothing_to_train_on_is_refused(refused):
    message = refused("data.validation=rest", "space.train_fraction={choice: [0.01, 0.5]}")
    assert message.startswith("made.yaml:4: space.train_fraction: train_fraction 0.01 leaves class '0'")
    assert message.endswith("raise it")


@pytest.mark.parametrize("validation", ["0", "1.0", "-0.1", "owm", "yes", "[own]"])
def test_what_is_no_validation_set_is_refused_with_what_is(refused, validation):
    message = refused(f"data.validation={validation}")
    assert message.startswith("made.yaml:2: data.validation: must be ")
    assert all(f"'{word}'" in message for word in ("own", "rest", "test"))


def test_a_batch_is_measured_by_what_is_left_to_train_on(refused):
    message = refused("data.validation=rest", "space.train_fraction=0.5", "space.batch_size=61")
    assert "reaches 61, above the 60 training images" in message


def test_a_validation_set_of_its_own_costs_no_training_image(world):
    assert run("space.batch_size=120", "confirm=null", "scheduler.max_epochs=1") == 0


def test_own_on_folders_of_pictures_is_refused(refused, world):
    write_picture_folders(world / "data/pictures", ("cat", "dog"), {"train": 10, "test": 2}, size=16)
    message = refused("data={name: image_folder, folder: pictures, validation: own}")
    assert "pictures has no validation set of its own" in message


def test_the_split_itself_refuses_what_the_check_did_not_see(world):
    source, data = source_of("data.validation=rest")
    with pytest.raises(DataError, match="rest of train_fraction 1"):
        source.split(data, 1.0)
