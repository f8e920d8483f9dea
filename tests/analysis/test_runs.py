"""The record is the contract: what `search.tracking.tracker` writes, `analysis.runs` reads."""

import socket
from pathlib import Path

import pandas as pd
import pytest
from conftest import TrackingServer
from mlflow.tracking import MlflowClient

from analysis import runs
from analysis.errors import AnalysisError
from contract.outcomes import Outcome
from search.journal.journal import Journal


@pytest.fixture(scope="module")
def frames(made_search) -> runs.Frames:
    return runs.load("made", tracking_uri=made_search.uri)


@pytest.fixture(scope="module")
def journal(made_search):
    """What really happened."""
    found = Journal(made_search.folder / "results" / "made" / made_search.id / "journal.jsonl")
    yield found
    found.close()


def test_a_row_a_trial_with_all_that_the_journal_says_of_it(frames, journal):
    trials = frames.trials.set_index("trial")
    assert sorted(trials.index) == sorted(journal.records)
    for id, record in journal.records.items():
        row = trials.loc[id]
        assert (row["number"], row["phase"], row["outcome"]) == (record.number, record.phase, record.outcome)
        assert (row["reason"], row["epochs"], row["seed"]) == (record.reason, len(record.epochs), record.params["seed"])
        assert row["params.lr"] == record.params["lr"]
        assert row["params.optimizer"] == record.params["optimizer"]
        assert row["started"] == pytest.approx(record.started, abs=0.01)
        assert row["seconds"] == pytest.approx(record.ended - record.started, abs=0.01)
    assert {Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.FAILED} == set(trials["outcome"])


def test_a_setting_that_a_trial_does_not_have_is_missing(frames):
    assert frames.trials.groupby("params.optimizer")["params.momentum"].count().to_dict() == {
        "adam": 0,
        "sgd": (frames.trials["params.optimizer"] == "sgd").sum(),
    }


def test_a_row_a_trial_and_epoch_with_every_metric(frames, journal):
    curves = frames.curves.set_index(["trial", "epoch"]).sort_index()
    assert len(curves) == sum(len(record.epochs) for record in journal.records.values())
    for id, record in journal.records.items():
        for epoch, metrics in record.epochs.items():
            for name in set(metrics) - {"epoch"}:
                assert curves.loc[(id, epoch), name] == pytest.approx(metrics[name], nan_ok=True), (id, epoch, name)


def test_a_search_is_found_by_its_id(made_search, frames):
    found = runs.load(made_search.id, tracking_uri=made_search.uri)
    pd.testing.assert_frame_equal(found.trials, frames.trials)
    assert found.experiment == "made"


def test_runs_of_other_programs_are_counted_and_left_out(frames):
    assert frames.ignored == 1
    assert "metrics.accuracy" not in frames.trials


@pytest.mark.process
def test_a_server_answers_as_its_database_does(made_search, frames, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = TrackingServer(made_search.folder, port)
    server.start()
    try:
        found = runs.load("made", tracking_uri=server.uri)
    finally:
        server.stop()
    pd.testing.assert_frame_equal(found.trials, frames.trials)
    pd.testing.assert_frame_equal(found.curves, frames.curves)


@pytest.mark.parametrize("name", ["mad", "maed", "2026"])
def test_an_unknown_name_is_answered_with_the_nearest(made_search, name):
    with pytest.raises(AnalysisError) as error:
        runs.load(name, tracking_uri=made_search.uri)
    assert f"no experiment and no search '{name}'" in str(error.value)
    assert "Experiments with searches: made" in str(error.value)
    assert ("did you mean made" in str(error.value)) == name.startswith("ma")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(AnalysisError, match=r"no record in sqlite.*--tracking-uri"):
        runs.load("made", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AnalysisError, match=f"MLflow at {uri} does not answer"):
            runs.load("made", tracking_uri=uri)


def test_an_experiment_without_trials_gives_empty_frames(empty_database: Path, tmp_path: Path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    MlflowClient(uri).create_experiment("bare")
    found = runs.load("bare", tracking_uri=uri)
    assert (len(found.trials), len(found.curves), found.parents, found.ignored) == (0, 0, (), 0)
