"""The projection of a journal into MLflow: over HTTP and to sqlite, through outages, and once only."""

import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import TrackingServer, free_port
from mlflow.tracking import MlflowClient

from contract.events import EpochEnded, MicroBatchSet, TrialEnded, TrialStarted
from contract.outcomes import MLFLOW_STATUS, Outcome
from search.journal.journal import Journal
from search.preflight import tracking
from search.preflight.tracking import TrackingUnreachable
from search.tracking import tracker
from search.tracking.tracker import Tracker

EPOCH = {"train_loss": 2.0, "train_accuracy": 0.2, "val_loss": 1.9, "val_accuracy": 0.3, "lr": 1e-3}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracker, "INTERVAL_S", 0.1)


def track(journal: Journal, uri: str) -> Tracker:
    tags = {"search.id": "s1", "data": "made", "data.fingerprint": "f00"}
    return Tracker(journal.path, uri, "tracked", tags, first_metric="val_accuracy")


def begin(journal: Journal, trial: str) -> None:
    journal.append(TrialStarted(id=trial, number=0, phase="search", params={"lr": 0.1, "epochs": 3, "seed": 0}))


def epochs(journal: Journal, trial: str, *numbers: int) -> None:
    for number in numbers:
        journal.append(EpochEnded(id=trial, epoch=number, metrics=EPOCH))


def end(journal: Journal, trial: str, outcome: Outcome) -> None:
    last = journal.records[trial].last_epoch
    journal.append(TrialEnded(id=trial, outcome=outcome, reason="because", epoch=last))


def runs(uri: str) -> dict[str, object]:
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("tracked").experiment_id])
    assert len({r.info.run_name for r in found}) == len(found), "a run was made twice"
    return {r.data.tags.get("search.trial_id", "parent"): r for r in found}


def steps(uri: str, run: object, metric: str = "val_accuracy") -> list[int]:
    return [m.step for m in MlflowClient(uri).get_metric_history(run.info.run_id, metric)]


@pytest.fixture
def journal(tmp_path: Path):
    opened = Journal(tmp_path / "journal.jsonl")
    yield opened
    opened.close()


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_database, tmp_path)}"


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_has_its_status_tag_and_reason(journal: Journal, uri: str, outcome: Outcome):
    tracker = track(journal, uri)
    begin(journal, "t0")
    epochs(journal, "t0", 1, 2)
    end(journal, "t0", outcome)
    assert tracker.close(60)
    run = runs(uri)["t0"]
    assert run.info.status == MLFLOW_STATUS[outcome]
    assert run.data.tags["outcome"] == outcome
    assert run.data.tags["reason"] == "because"
    assert run.data.tags.get("stopped_at_epoch") == ("2" if outcome is Outcome.STOPPED else None)
    assert run.data.params == {"lr": "0.1", "epochs": "3", "seed": "0"}
    assert [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs] == [("made", "f00")]


def test_how_many_images_fitted_into_memory_is_a_tag_of_the_run(journal: Journal, uri: str):
    begin(journal, "a")
    for images in (64, 32):
        journal.append(MicroBatchSet(id="a", micro_batch=images, reason="out of memory"))
    end(journal, "a", Outcome.COMPLETED)
    assert track(journal, uri).close(60)
    assert runs(uri)["a"].data.tags.get("micro_batch") == "32"


def test_a_resumed_trial_goes_on_in_its_run(journal: Journal, uri: str):
    first = track(journal, uri)
    begin(journal, "t0")
    epochs(journal, "t0", 1)
    end(journal, "t0", Outcome.INTERRUPTED)
    assert first.close(60)
    second = track(journal, uri)
    begin(journal, "t0")
    epochs(journal, "t0", 2)
    assert second.close(60)
    found = runs(uri)
    assert set(found) == {"parent", "t0"}
    assert found["t0"].info.status == "RUNNING"
    assert steps(uri, found["t0"]) == [1, 2]


def test_what_was_sent_but_not_noted_is_not_sent_twice(journal: Journal, uri: str):
    """As when the process is killed after the server has answered."""
    first = track(journal, uri)
    begin(journal, "t0")
    epochs(journal, "t0", 1, 2, 3)
    end(journal, "t0", Outcome.COMPLETED)
    assert first.close(60)
    journal.path.with_name("tracking.json").unlink()
    assert track(journal, uri).close(60)
    found = runs(uri)
    assert set(found) == {"parent", "t0"}
    assert found["t0"].info.status == "FINISHED"
    assert steps(uri, found["t0"]) == [1, 2, 3]


def test_the_comparisons_first_metric_is_the_objective(journal: Journal, uri: str):
    tracker = track(journal, uri)
    begin(journal, "t0")
    epochs(journal, "t0", 1)
    assert tracker.close(60)
    assert next(iter(runs(uri)["t0"].data.metrics)) == "val_accuracy"


@pytest.mark.ray  # no Ray, but the time of two servers
def test_nothing_is_lost_or_doubled_when_the_server_goes_away_in_the_middle(journal: Journal, tmp_path: Path):
    server = TrackingServer(tmp_path, free_port())
    server.start()
    tracker = track(journal, server.uri)
    begin(journal, "t0")
    epochs(journal, "t0", 1)
    while tracker.behind:
        time.sleep(0.05)
    server.stop()

    begin(journal, "t1")
    epochs(journal, "t0", 2, 3)
    end(journal, "t0", Outcome.COMPLETED)
    epochs(journal, "t1", 1)
    while tracker.error is None:
        time.sleep(0.05)
    assert tracker.behind

    server.start()
    try:
        end(journal, "t1", Outcome.STOPPED)
        assert tracker.close(60)
        found = runs(server.uri)
        assert set(found) == {"parent", "t0", "t1"}
        assert steps(server.uri, found["t0"]) == [1, 2, 3]
        assert steps(server.uri, found["t1"]) == [1]
        assert found["t0"].info.status == "FINISHED"
    finally:
        server.stop()


def test_a_server_that_stays_away_holds_nobody_up(journal: Journal):
    tracker = track(journal, f"http://127.0.0.1:{free_port()}")
    begin(journal, "t0")
    while tracker.error is None:
        time.sleep(0.05)
    assert not tracker.close(0.5)
    assert tracker.behind


def test_a_trials_calls_do_not_grow_with_its_epochs(journal: Journal, uri: str, monkeypatch: pytest.MonkeyPatch):
    """An epoch's metrics are one batch, many epochs since the last sending too."""
    calls: list[str] = []
    for name in ("create_run", "log_inputs", "log_batch", "log_metric", "set_terminated"):
        original = getattr(MlflowClient, name)

        def counted(self, *args, _name=name, _original=original, **kwargs):
            calls.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(MlflowClient, name, counted)
    begin(journal, "t0")
    epochs(journal, "t0", *range(1, 51))
    end(journal, "t0", Outcome.COMPLETED)
    assert track(journal, uri).close(60)
    assert calls.count("log_batch") == 1, "parameters, all metrics and tags together"
    assert calls.count("create_run") == 2, "the search and the trial"
    assert calls.count("log_metric") == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "sqlite:////no/such/folder/mlflow.db", "file:///tmp/mlruns"])
def test_an_unusable_address_is_found_out_before_the_search(address: str):
    with pytest.raises(TrackingUnreachable):
        tracking.check(address)


def test_a_server_that_answers_errors_is_found_out_before_the_search():
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(TrackingUnreachable, match="500"):
            tracking.check(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
