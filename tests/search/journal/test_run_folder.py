"""A search is taken up again only as what it was."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from contract.events import DriverStarted, TrialStarted
from search.errors import UserError
from search.journal.run_folder import SearchFolder
from search.spec.loader import load
from search.spec.spec import Spec
from search.trial.data_source import DataSource
from trainables.config import TrainConfig
from trainables.image_data import ImageData

RIGHT = """\
name: made
data: {name: digits}
space:
  lr: {loguniform: [1e-5, 1e-1]}
  batch_size: {choice: [32, 64]}
sampler: {name: tpe, seed: 0}
scheduler: {name: asha, max_epochs: 9}
budget: {trials: 6}
confirm: {top: 2, seeds: 2}
"""
SOURCE = DataSource("digits", "/data", (), 0.1, 0)


def images(fingerprint: str = "a1") -> ImageData:
    pictures, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1])
    return ImageData("digits", ("0", "1"), pictures, labels, pictures, labels, (0.0,), (1.0,), fingerprint)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def spec(tmp_path: Path):
    """Reads the spec with some keys overridden."""
    path = tmp_path / "made.yaml"
    path.write_text(RIGHT)
    return lambda *overrides: load(path, overrides)


def search(results: Path, spec: Spec, called: str) -> Path:
    """A search that has been begun and left, by a name of its own."""
    folder = SearchFolder.open(results, spec, SOURCE, images(), None)
    folder.journal.append(DriverStarted(resources="here"))
    folder.journal.close()
    return folder.path.rename(folder.path.with_name(called))


def resume(results: Path, spec: Spec, which: str = "latest", data: ImageData | None = None) -> SearchFolder:
    return SearchFolder.open(results, spec, SOURCE, data or images(), which)


def test_a_new_search_has_a_folder_and_an_id_of_its_own(results, spec):
    one, two = (SearchFolder.open(results, spec(), SOURCE, images(), None) for _ in range(2))
    assert one.id != two.id
    for folder in (one, two):
        assert folder.path == results / "made" / folder.id
        assert folder.journal.path.parent == folder.files.study.parent == folder.path


def test_the_folder_has_the_spec_as_it_was_run_and_the_data_it_was_run_on(results, spec):
    folder = SearchFolder.open(results, spec("budget.trials=7", "space.lr=1e-5"), SOURCE, images("f00d"), None)
    written = folder.path / "spec.yaml"
    assert load(written).content == spec("budget.trials=7", "space.lr=1e-5").content
    assert list(yaml.safe_load(written.read_text())) == [
        "name",
        "data",
        "space",
        "sampler",
        "scheduler",
        "budget",
        "confirm",
    ]
    data = json.loads((folder.path / "data.json").read_text())
    assert data.pop("fingerprint") == "f00d"
    assert DataSource.from_content(data) == SOURCE


def test_latest_is_the_search_begun_last(results, spec):
    search(results, spec(), "made-20250102-030405-ffff")
    last = search(results, spec(), "made-20250102-030406-0000")
    search(results, spec(), "made-20241231-235959-eeee")
    folder = resume(results, spec())
    assert folder.path == last
    assert len(folder.journal.launches) == 1


def test_a_search_is_resumed_by_its_id(results, spec):
    first = search(results, spec(), "made-1")
    search(results, spec(), "made-2")
    assert resume(results, spec(), "made-1").path == first


def test_an_unknown_id_is_answered_with_those_there_are(results, spec):
    search(results, spec(), "made-1")
    search(results, spec(), "made-2")
    with pytest.raises(UserError, match=r"--resume: no search 'made-3'.*made-1, made-2"):
        resume(results, spec(), "made-3")


@pytest.mark.parametrize("which", ["latest", "made-1"])
@pytest.mark.parametrize("other", [False, True], ids=["no results", "only another spec's"])
def test_with_nothing_to_resume_one_is_told_to_start_and_nothing_is_made(results, spec, which, other):
    if other:
        search(results, spec("name=other"), "other-1")
    with pytest.raises(UserError, match=r"--resume: there is no search in .*made: start one without --resume"):
        resume(results, spec(), which)
    assert not (results / "made").exists()


def test_a_folder_that_was_not_finished_being_made_is_no_search(results, spec):
    whole = search(results, spec(), "made-1")
    half = results / "made" / "made-2"
    half.mkdir()
    (half / "journal.jsonl").touch()  # and here the driver was killed
    assert resume(results, spec()).path == whole
    with pytest.raises(UserError, match="made-2"):
        resume(results, spec(), "made-2")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("scheduler.max_epochs=27", "scheduler"),
        ("objective.metric=val_loss", "objective"),
        ("data.validation=0.2", "data"),
    ],
)
def test_a_changed_search_is_not_mixed_with_what_was_found(results, spec, override, key):
    folder = search(results, spec(), "made-1")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError) as caught:
        resume(results, spec(override))
    [problem] = caught.value.problems
    assert problem.key == key
    assert "differs from the search made-1" in problem.text
    assert "undo the change, or start a new search" in problem.text
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_every_change_is_named_at_once(results, spec):
    search(results, spec(), "made-1")
    with pytest.raises(UserError) as caught:
        resume(results, spec("objective.metric=val_loss", "scheduler.name=none", "budget.trials=9"), data=images("b2"))
    assert {problem.key for problem in caught.value.problems} == {"objective", "scheduler", "data"}


@pytest.mark.parametrize(
    "override",
    [
        "budget.trials=9",
        "budget.hours=2",
        "confirm=null",
        "confirm.top=1",
        "resources.cpu=2",
        "sampler.name=random",
        "tracking.uri=http://there:5000",
    ],
)
def test_what_does_not_touch_the_trials_may_change(results, spec, override):
    path = search(results, spec(), "made-1")
    folder = resume(results, spec(override))
    assert folder.path == path
    assert load(path / "spec.yaml").content == spec(override).content


def test_an_unchanged_search_is_resumed_more_than_once(results, spec):
    path = search(results, spec(), "made-1")
    for _ in range(3):
        folder = resume(results, spec())
        assert folder.path == path
        folder.journal.close()


def test_other_images_are_refused_whatever_they_are_called(results, spec):
    search(results, spec(), "made-1")
    with pytest.raises(
        UserError, match=r"data: digits has other images than made-1.*restore them, or start a new search"
    ):
        resume(results, spec(), data=images("b2"))


def test_the_same_images_may_lie_elsewhere(results, spec):
    path = search(results, spec(), "made-1")
    moved = DataSource("digits", "/elsewhere", (), 0.1, 0)
    assert SearchFolder.open(results, spec(), moved, images(), "latest").path == path
    assert json.loads((path / "data.json").read_text())["root"] == "/elsewhere"


def test_a_search_that_runs_is_not_taken_up_a_second_time(results, spec):
    search(results, spec(), "made-1")
    running = resume(results, spec())
    with pytest.raises(UserError, match=r"--resume: another process is running .*made-1: wait for it, or end it"):
        resume(results, spec())
    running.journal.close()
    resume(results, spec())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, spec):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match=r"--results: .*made.* cannot be written to"):
        SearchFolder.open(tmp_path / "results", spec(), SOURCE, images(), None)


TRIAL = {"lr": 1e-3, "batch_size": 32, "epochs": 9}


@pytest.mark.parametrize(
    ("override", "fits"),
    [
        ("space.lr.loguniform=[1e-6, 1]", True),
        ("space.lr.loguniform=[1e-4, 1e-2]", True),
        ("space.lr=1e-3", True),
        ("space.batch_size.choice=[32, 64, 128]", True),
        ("space.momentum={uniform: [0.5, 0.9], when: {optimizer: sgd}}", True),
        ("space.lr.loguniform=[1e-2, 1e-1]", False),
        ("space.batch_size.choice=[64, 128]", False),
        ("space.seed=3", False),
        ("model=fashionnet", False),
    ],
)
def test_the_space_may_change_as_long_as_a_trial_is_left(results, spec, override, fits):
    optimizer = "space.optimizer={choice: [adam, sgd]}"
    folder = SearchFolder.open(results, spec(), SOURCE, images(), None)
    params = TrainConfig.from_params({**spec().space.constants, **TRIAL}).in_effect()
    folder.journal.append(TrialStarted(id="trial-0000", number=0, phase="search", params=params))
    folder.journal.close()
    if fits:
        resume(results, spec(optimizer, override))
        return
    before = (folder.path / "spec.yaml").read_text()
    with pytest.raises(UserError, match=r"space: none of the 1 trials of .* fits the changed space: undo the change"):
        resume(results, spec(optimizer, override))
    assert (folder.path / "spec.yaml").read_text() == before


@pytest.mark.parametrize("name", ["spec.yaml", "data.json"])
@pytest.mark.parametrize("content", ["", "{", "\x00\x01", "[1, 2"])
def test_a_damaged_file_of_the_search_is_told_and_left_alone(results, spec, name, content):
    folder = search(results, spec(), "made-1")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=r"is damaged .*: restore it from a copy, or start a new search"):
        resume(results, spec())
    assert (folder / name).read_text() == content


def test_what_a_killed_driver_was_writing_is_gone_when_the_search_is_resumed(results, spec):
    folder = search(results, spec(), "made-1")
    left = [folder / f"{name}.4711.new" for name in ("spec.yaml", "data.json", "search.json", "tracking.json")]
    for path in left:
        path.write_text("half")
    resumed = resume(results, spec())
    resumed.journal.close()
    assert not any(path.exists() for path in left)
