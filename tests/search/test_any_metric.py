"""A metric that only a made trainable reports is found wherever a metric can be, on Ray and in one process."""

import shutil
from pathlib import Path

import pytest
from conftest import write_spec
from mlflow.tracking import MlflowClient
from searches import Search

from analysis import runs

MADE = """
import dataclasses

import trainables.state
import trainables.training
from trainables.epoch_metrics import EpochMetrics
from trainables.models import lenet


@dataclasses.dataclass(frozen=True)
class WithMargin(EpochMetrics):
    val_margin: float = 0.0


def with_margin(**metrics):
    return WithMargin(**{"val_margin": 10 * metrics["val_accuracy"] - metrics["epoch"], **metrics})


trainables.state.EpochMetrics = trainables.training.EpochMetrics = with_margin


def build(input_shape, num_classes):
    return lenet.build(input_shape, num_classes)
"""
NAME = "val_margin"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, marks=pytest.mark.ray, id="Ray"),
        pytest.param(False, marks=pytest.mark.process, id="in-process"),
    ],
)
def searched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_database: Path):
    """A search whose objective is the made metric, and what it printed."""
    folder = tmp_path_factory.mktemp("any-metric")
    (folder / "made.py").write_text(MADE)
    shutil.copy(empty_database, folder / "mlflow.db")
    spec = write_spec(
        folder / "margin.yaml",
        model="made",
        space={"lr": {"loguniform": [1e-4, 1e-1]}, "batch_size": 64},
        objective={"metric": NAME, "mode": "max"},
        confirm={"top": 1, "seeds": 2},
    )
    text = spec.read_text().replace("model: made", "model: made:build")
    spec.write_text(text)
    search = Search(folder, spec, f"sqlite:///{folder}/mlflow.db")
    process = search.start("--allow-code", ray=request.param, report=True)
    output = search.finish(process)
    assert process.returncode == 0, output
    return search, output


def test_it_is_in_the_journal_of_every_epoch(searched):
    search, _ = searched
    for record in search.records().values():
        for epoch, metrics in record.epochs.items():
            assert metrics[NAME] == pytest.approx(10 * metrics["val_accuracy"] - epoch)


def test_it_is_what_the_study_learns_and_the_best_is_chosen_by(searched):
    search, _ = searched
    records = [r for r in search.records().values() if r.phase == "search"]
    for trial, record in zip(search.study().trials, records, strict=True):
        assert trial.intermediate_values == {epoch: m[NAME] for epoch, m in record.epochs.items()}
    with_result = [r for r in records if r.outcome in ("completed", "stopped")]
    best = max(with_result, key=lambda r: r.last[NAME])
    assert {r.number for r in search.records().values() if r.phase == "confirm"} == {best.number}


def test_it_is_in_mlflow_with_its_history_and_the_searchs_best(searched):
    search, _ = searched
    (parent,), trials = search.runs("margin")
    records, client = search.records(), MlflowClient(search.uri)
    for run in trials:
        record = records[run.data.tags["search.trial_id"]]
        history = client.get_metric_history(run.info.run_id, NAME)
        assert {m.step: m.value for m in history} == {epoch: m[NAME] for epoch, m in record.epochs.items()}
    assert f"best_{NAME}" in parent.data.metrics
    assert f"{NAME}_mean" in parent.data.metrics


def test_it_is_in_the_frames_of_analysis(searched):
    search, _ = searched
    frames = runs.load("margin", tracking_uri=search.uri)
    assert frames.trials[f"metrics.{NAME}"].notna().all()
    assert frames.curves[NAME].notna().all()


def test_it_is_on_the_screen_and_in_the_report(searched):
    search, output = searched
    assert f"Top trials by {NAME}" in output
    page = (search.state / "report" / "index.html").read_text()
    assert "validation margin" in page
    assert NAME in (search.state / "report" / "csv" / "trials.csv").read_text()
