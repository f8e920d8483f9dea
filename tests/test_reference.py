"""The rows of the published studies, their results file and their tables."""

import inspect
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from made_data import digits_mat_content, digits_mat_parts, write_digits_mat

import trainables.datasets
from benchmarks import reference
from benchmarks.reference_rows import ROWS, Row
from search.spec.loader import load
from trainables import module_folder, named_model
from trainables.config import TrainConfig

SPACES = Path(__file__).parent.parent / "spaces"
STUDIES = (
    "lenet_augmentation", "resnet18", "fashionnet", "tutorial_cnn", "resnet9_augmentation", "digits_hidden",
    "digits_momentum", "digits_loss", "digits_bias", "digits_dropout", "digits_refit", "digits_augmentation",
    "digits_initialisation", "digits_penalty",
)  # fmt: skip
"""Specs that are published rows and nothing else."""


def in_effect(params: dict) -> dict:
    config = TrainConfig.from_params(params)
    options = inspect.signature(named_model.builder(config.model)).parameters.values()
    defaults = {p.name: p.default for p in options if p.kind is p.KEYWORD_ONLY}
    return {key: value for key, value in (defaults | config.in_effect()).items() if key != "seed"}


def test_every_row_has_its_own_name():
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {row.id.partition("/")[0] for row in ROWS} == {"R1", "R2", "R3", "R4", "R5"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_can_be_trained(row):
    config = TrainConfig.from_params(row.params)
    assert row.data in module_folder.names(trainables.datasets)
    assert set(config.model_options) <= set(named_model.option_names(config.model))
    assert row.published is None or 0 < row.published < 100


@pytest.mark.parametrize("name", STUDIES)
def test_a_spec_of_a_study_says_what_its_rows_say(name):
    spec = load(SPACES / f"{name}.yaml")
    rows = [in_effect(row.params) for row in ROWS if row.data == spec.data.name]
    for point in spec.space.product():
        assert in_effect({**spec.space.constants, **point}) in rows, point


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A results file, a page and two short rows of the test's own."""
    params = {"model": "mlp", "epochs": 2, "batch_size": 20, "width": 8}
    rows = (
        Row("R3/tiny", "a tiny one", params, "digits_mat", 12.5, validation="own", note="made"),
        Row("R3/gpu", "a large one", params | {"epochs": 3}, "digits_mat", needs_gpu=True),
    )
    write_digits_mat(tmp_path, digits_mat_content(digits_mat_parts(6)))
    (tmp_path / "page.md").write_text("# Title\n\n<!-- R3 -->\nold\n<!-- /R3 -->\nread on\n")
    monkeypatch.setattr(reference, "ROWS", rows)
    monkeypatch.setattr(reference, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(reference, "PAGE", tmp_path / "page.md")
    return tmp_path


def command(place: Path, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["reference", "--data-dir", str(place), "--threads", "1", *arguments])
    reference.main()


def recorded(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "results.jsonl").read_text().splitlines()]


@pytest.mark.process
def test_a_row_is_run_recorded_and_shown(place, monkeypatch, capsys):
    command(place, monkeypatch, "--seeds", "2", "--only", "R3")
    runs = recorded(place)
    assert [(r["row"], r["seed"], r["epochs"]) for r in runs] == [("R3/tiny", 0, 2), ("R3/tiny", 1, 2)]
    assert runs[0]["test_accuracy"] != runs[1]["test_accuracy"]
    for r in runs:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", r["date"])
        assert r["commit"]
        assert r["device"].endswith("CPU")
        assert r["torch"] == torch.__version__
    page = (place / "page.md").read_text()
    assert page.startswith("# Title\n")
    assert page.endswith("<!-- /R3 -->\nread on\n")
    assert "old" not in page
    mean = 50 * sum(r["test_accuracy"] for r in runs)
    assert f"| a tiny one (`R3/tiny`) | 12.5 | **{mean:.2f}** ± " in page
    assert f" | 2 | {mean - 12.5:+.2f} | " in page
    assert "| a large one (`R3/gpu`) |  | not yet run: needs a GPU | 0 |" in page


@pytest.mark.process
def test_what_is_recorded_is_not_run_again_unless_its_settings_changed(place, monkeypatch, capsys):
    command(place, monkeypatch, "--seeds", "1")
    command(place, monkeypatch, "--seeds", "1")
    assert len(recorded(place)) == 1
    tiny, large = reference.ROWS
    changed = Row(tiny.id, tiny.what, tiny.params | {"width": 9}, tiny.data, tiny.published, validation="own")
    monkeypatch.setattr(reference, "ROWS", (changed, large))
    assert reference.results(place / "results.jsonl") == []
    command(place, monkeypatch, "--seeds", "1")
    assert [r["params"]["width"] for r in recorded(place)] == [8, 9]
    assert [r["params"]["width"] for r in reference.results(place / "results.jsonl")] == [9]


@pytest.mark.process
def test_a_row_that_fails_does_not_keep_others_from_running(place, monkeypatch, capsys):
    broken = Row("R3/broken", "no such data", {"model": "mlp"}, "flowers")
    monkeypatch.setattr(reference, "ROWS", (broken, *reference.ROWS))
    command(place, monkeypatch, "--seeds", "1")
    assert [r["row"] for r in recorded(place)] == ["R3/tiny"]
    assert "R3/broken seed 0 failed: DataMissing" in capsys.readouterr().out


def test_a_run_is_the_same_each_time(place):
    tiny = reference.ROWS[0]
    one, other = (reference.run(tiny, 0, "cpu", 1, place) for _ in range(2))
    assert one["curve"] == other["curve"]
    assert one["test_accuracy"] == other["test_accuracy"]


def test_an_unknown_row_is_said(place, monkeypatch):
    with pytest.raises(SystemExit, match="no row begins with R9"):
        command(place, monkeypatch, "--only", "R9")


def test_the_page_of_the_project_has_a_place_for_each_study():
    text = reference.PAGE.read_text()
    for study in ("R1", "R2", "R3", "R4", "R5"):
        assert f"<!-- {study} -->\n" in text
        assert f"<!-- /{study} -->" in text
