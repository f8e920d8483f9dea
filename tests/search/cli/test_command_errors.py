"""What a user gets wrong costs seconds: exit code 2, a message that says what to do, and nothing left behind."""

from pathlib import Path

import pytest
from conftest import write_picture_folders

from search.run import main
from trainables.datasets import cifar10

SPEC = """\
name: made
data: {name: image_folder, folder: pictures}
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
    """A working folder with a right spec and made pictures, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10, "HOST", "localhost.invalid")
    monkeypatch.delenv("SEARCH_DATA_DIR", raising=False)
    (tmp_path / "made.yaml").write_text(SPEC)
    write_picture_folders(tmp_path / "data" / "pictures", ("cat", "dog"), {"train": 10, "test": 2}, size=16)
    return tmp_path


@pytest.fixture
def refused(world: Path, capsys: pytest.CaptureFixture):
    """Runs the command, which must end with 2 and leave no trace; what it printed for the user."""

    def run(*arguments: str, spec: str = "made.yaml") -> str:
        before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
        assert main([spec, "--in-process", *arguments]) == 2
        printed = capsys.readouterr()
        assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before
        assert printed.out == ""
        assert "Traceback" not in printed.err
        assert all(line.startswith("error: ") for line in printed.err.splitlines())
        return printed.err

    return run


def test_a_spec_that_is_not_there(refused):
    message = refused(spec="maed.yaml")
    assert "maed.yaml: no such file" in message
    assert "spaces/" in message


def test_a_wrong_spec_with_every_mistake_on_a_line_of_its_own(refused, world):
    (world / "made.yaml").write_text(SPEC.replace("[1e-4, 1e-1]", "[low, high]").replace("trials: 2", "trails: 2"))
    lines = refused().splitlines()
    assert lines[0].startswith(
        "error: made.yaml:4: space.lr.loguniform: must be [low, high], two numbers, not ['low', 'high']"
    )
    assert lines[1].startswith("error: made.yaml:8: budget.trails: unknown key")


def test_a_wrong_override(refused):
    assert "budget.trials: must be a whole number, not 'many'" in refused("--set", "budget.trials=many")


def test_a_tracking_server_that_does_not_answer(refused):
    message = refused("--set", "tracking.uri=http://127.0.0.1:9")
    assert "tracking.uri: http://127.0.0.1:9: the server does not answer" in message
    assert "mlflow server" in message


def test_a_tracking_server_named_by_the_environment_that_does_not_answer(refused, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9: the server does not answer" in refused()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite:///missing/mlflow.db", "missing is not a folder that can be written to"),
        ("http://", "does not answer"),
        ("ftp://there", "only http(s):// servers and sqlite:/// files"),
        ("mlruns", "only http(s):// servers and sqlite:/// files"),
    ],
)
def test_a_tracking_address_that_cannot_be_used(refused, uri, words):
    message = refused("--set", f"tracking.uri={uri}")
    assert "tracking.uri" in message
    assert words in message


def test_a_data_directory_without_the_pictures(refused):
    message = refused("--data-dir", "elsewhere")
    assert "made.yaml:2: data: no folder " in message
    assert "elsewhere/pictures" in message
    assert "train/<class>" in message


def test_a_data_directory_without_the_data_set_and_no_network_to_fetch_it(refused):
    message = refused("--set", "data=cifar10")
    assert "data: no CIFAR-10 under " in message
    assert "localhost.invalid cannot be reached" in message
    assert "--data-dir" in message


def test_a_batch_larger_than_the_training_set(refused):
    message = refused("--set", "space.batch_size={choice: [4, 19]}")
    assert "made.yaml:5: space.batch_size: reaches 19, above the 18 training images of image_folder" in message
    assert "lower it" in message


def test_a_batch_larger_than_the_smallest_training_fraction(refused):
    message = refused("--set", "space.batch_size=10", "--set", "space.train_fraction={grid: [1.0, 0.5]}")
    assert "space.batch_size: reaches 10, above the 8 training images" in message
    assert "at train_fraction 0.5" in message


def test_a_train_fraction_that_leaves_a_class_without_images(refused):
    message = refused("--set", "space.train_fraction={choice: [1.0, 0.01]}")
    assert (
        "space.train_fraction: train_fraction 0.01 leaves class 'cat' (9 images) none to train on: raise it" in message
    )


def test_a_validation_part_that_leaves_a_class_without_images(refused):
    message = refused("--set", "data.validation=0.01")
    assert (
        "made.yaml:2: data.validation: validation 0.01 leaves class 'cat' (10 images) none to validate on: raise it"
        in message
    )


def test_a_picture_that_cannot_be_read(refused, world):
    broken = world / "data/pictures/train/dog/3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    message = refused()
    assert f"data: {broken} is not a readable picture" in message
    assert "replace or remove it" in message


def test_pictures_of_different_sizes(refused, world):
    write_picture_folders(world / "data" / "more", ("dog",), {"train": 1}, size=20)
    (world / "data/more/train/dog/0.png").rename(world / "data/pictures/train/dog/large.png")
    assert "dog/large.png is 20x20, others are 16x16: set data.image_size to resize all" in refused()


def test_a_class_without_pictures(refused, world):
    (world / "data/pictures/train/emu").mkdir()
    assert "no pictures in " in refused()


def write_table(path: Path, columns: dict) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)


@pytest.mark.parametrize(
    "columns",
    [
        None,
        {"label": [0, 1]},
        {"image": [{"bytes": b"x"}], "label": [0]},
        {"img": ["x", "y"], "label": [0, 1]},
        {"img": [{"bytes": b"not a picture", "path": "0.png"}], "label": [0]},
        {"img": [{"path": "0.png"}], "label": [0]},
        {"img": [None], "label": [0]},
    ],
    ids=["no parquet", "no pictures", "another column", "names for pictures", "broken pictures", "no bytes", "nothing"],
)
def test_a_damaged_parquet_file(refused, world, columns):
    (world / "data" / "cifar10").mkdir()
    for part in ("train", "test"):
        path = world / "data" / "cifar10" / f"{part}-0.parquet"
        if columns is None:
            path.write_bytes(b"PAR1 and then something else")
        else:
            write_table(path, columns)
    message = refused("--set", "data=cifar10")
    assert "data: " in message
    assert "train-0.parquet" in message


def test_all_that_is_wrong_outside_the_file_is_reported_at_once(refused):
    message = refused("--set", "tracking.uri=http://127.0.0.1:9", "--data-dir", "elsewhere")
    assert len(message.splitlines()) == 2
    assert "tracking.uri" in message
    assert "data: no folder" in message


@pytest.mark.parametrize("arguments", [("--resume",), ("--resume", "made-1")])
def test_nothing_to_resume(refused, arguments):
    message = refused(*arguments)
    assert "--resume: there is no search in results/made" in message
    assert "start one without --resume" in message


def test_a_results_folder_that_cannot_be_written_to(refused, world):
    (world / "occupied").write_text("a file")
    assert "--results: " in refused("--results", "occupied")


def test_a_dry_run_refuses_the_same(refused):
    assert "space.batch_size: reaches 40" in refused("--dry-run", "--set", "space.batch_size=40")


def test_a_dry_run_refuses_a_model_that_cannot_be_built(refused, world):
    message = refused("--dry-run", "--set", "space.pooling=averag")
    assert "space.pooling: pooling must be one of max, average, not 'averag'" in message


def test_a_model_that_cannot_be_built_is_refused_before_trials_are_begun(refused, world):
    message = refused("--set", "space.pooling=averag", "--set", f"tracking.uri=sqlite:///{world}/mlflow.db")
    assert "space.pooling: pooling must be one of max, average, not 'averag'" in message


def test_an_unknown_option_is_refused_as_the_shell_expects(world, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["made.yaml", "--no-such-option"])
    assert "--no-such-option" in capsys.readouterr().err
