"""What a tracking server can do to a search's record: nothing is lost, nothing is twice there, nothing stays open."""

import json
import math
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TrackingServer, free_port
from faulty_proxy import Fault, FaultyProxy
from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from contract.events import BestFound, EpochEnded, TrialEnded, TrialStarted
from contract.outcomes import Outcome
from search.journal.journal import Journal
from search.tracking import tracker
from search.tracking.tracker import Tracker

EPOCH = {"train_loss": 2.0, "train_accuracy": 0.2, "val_loss": 1.9, "val_accuracy": 0.3, "lr": 1e-3}
EPOCHS = 3
PATIENCE = 30


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracker, "INTERVAL_S", 0.1)


@pytest.fixture
def journal(tmp_path: Path):
    opened = Journal(tmp_path / "search" / "journal.jsonl")
    yield opened
    opened.close()


@pytest.fixture
def proxy(tracking_server: str):
    with FaultyProxy(tracking_server) as made:
        yield made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of an experiment of the test's own on the server that all share."""
    return request.node.name


def track(journal: Journal, uri: str, name: str) -> Tracker:
    tags = {"search.id": name, "data": "made", "data.fingerprint": "f00"}
    return Tracker(journal.path, uri, name, tags, first_metric="val_accuracy")


def trial(journal: Journal, number: int, loss: float = 1.9) -> None:
    """A whole trial."""
    id = f"t{number}"
    journal.append(TrialStarted(id=id, number=number, phase="search", params={"lr": 0.1, "epochs": EPOCHS, "seed": 0}))
    for epoch in range(1, EPOCHS + 1):
        journal.append(EpochEnded(id=id, epoch=epoch, metrics={**EPOCH, "val_loss": loss}))
    journal.append(TrialEnded(id=id, outcome=Outcome.COMPLETED, reason="", epoch=EPOCHS))
    journal.append(BestFound(id=id, metric="val_accuracy", value=0.3 + number / 100, number=number))


def runs_of(uri: str, name: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    client = MlflowClient(uri)
    return list(client.search_runs([client.get_experiment_by_name(name).experiment_id], run_view_type=view))


def assert_all_is_there_once(uri: str, name: str, trials: int) -> None:
    """One run a trial and one for the search; each trial's closed, with its parameters, every epoch once, in order."""
    client = MlflowClient(uri)
    runs = runs_of(uri, name)
    wanted = {f"t{i}": 1 for i in range(trials)} | {"parent": 1}
    assert Counter(run.data.tags.get("search.trial_id", "parent") for run in runs) == wanted
    for run in runs:
        (data_set,) = run.inputs.dataset_inputs
        assert data_set.dataset.name == "made"
        if "search.trial_id" not in run.data.tags:
            best = client.get_metric_history(run.info.run_id, "best_val_accuracy")
            assert sorted(m.step for m in best) == list(range(trials))
            continue
        assert run.info.status == "FINISHED"
        assert run.data.params == {"lr": "0.1", "epochs": str(EPOCHS), "seed": "0"}
        assert run.data.tags["outcome"] == "completed"
        for metric in EPOCH:
            history = client.get_metric_history(run.info.run_id, metric)
            assert [m.step for m in history] == list(range(1, EPOCHS + 1)), metric
            assert [m.timestamp for m in history] == sorted(m.timestamp for m in history)


def once(fault: Fault, *ends: str) -> Callable[[str, str], Fault]:
    """The first request to each of these is hit."""
    waiting = list(ends)

    def decide(method: str, path: str) -> Fault:
        for end in waiting:
            if path.endswith(end):
                waiting.remove(end)
                return fault
        return ""

    return decide


WRITES = ("experiments/create", "runs/create", "runs/create", "log-inputs", "log-batch", "runs/update", "search.json")


@pytest.mark.parametrize("fault", ["fail", "fail after", "drop", "drop after"])
def test_every_kind_of_request_may_fail_before_or_after_it_was_done(
    fault: Fault, journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str
):
    proxy.fault = once(fault, *WRITES)
    tracker = track(journal, proxy.uri, name)
    for number in range(3):
        trial(journal, number)
    assert tracker.close(PATIENCE), tracker.error
    assert_all_is_there_once(tracking_server, name, 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_fails_every_fifth_request_gets_everything_once(
    seed: int, journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str
):
    draw = random.Random(seed)
    proxy.fault = lambda method, path: (
        draw.choice(["fail", "fail after", "drop", "drop after"]) if draw.random() < 0.2 else ""
    )
    tracker = track(journal, proxy.uri, name)
    for number in range(12):
        trial(journal, number)
        time.sleep(0.05)
    assert tracker.close(PATIENCE), tracker.error
    proxy.fault = lambda method, path: ""
    assert_all_is_there_once(tracking_server, name, 12)


def test_a_run_that_was_made_after_its_answer_was_given_up_is_deleted(
    journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str
):
    """As when a server that stood still does what it was asked long ago."""
    tracker = track(journal, proxy.uri, name)
    trial(journal, 0)
    while tracker.behind:
        time.sleep(0.05)
    client = MlflowClient(tracking_server)
    first = next(run for run in runs_of(tracking_server, name) if "search.trial_id" in run.data.tags)
    client.create_run(first.info.experiment_id, first.info.start_time, first.data.tags, "t0")
    assert tracker.close(PATIENCE)
    assert_all_is_there_once(tracking_server, name, 1)
    (deleted,) = runs_of(tracking_server, name, ViewType.DELETED_ONLY)
    assert deleted.info.status == "KILLED"
    assert deleted.info.run_id != first.info.run_id


def test_numbers_that_are_none_arrive_once_too(journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str):
    proxy.fault = once("fail after", "log-batch")
    tracker = track(journal, proxy.uri, name)
    trial(journal, 0, math.nan)
    trial(journal, 1, math.inf)
    assert tracker.close(PATIENCE), tracker.error
    assert_all_is_there_once(tracking_server, name, 2)


def test_a_trial_costs_a_slow_server_four_requests_and_several_are_told_at_once(
    journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str
):
    tracker = track(journal, proxy.uri, name)
    trial(journal, 0)
    while tracker.behind:
        time.sleep(0.05)
    proxy.requests.clear()
    for number in range(1, 17):
        trial(journal, number)
    proxy.delay = 0.2
    began = time.monotonic()
    assert tracker.close(PATIENCE)
    took = time.monotonic() - began
    of_trials = [path for _, path in proxy.requests if not path.endswith("runs/search")]
    assert len(of_trials) <= 16 * 4 + 2, "the search's best values are two"
    assert took < len(of_trials) * proxy.delay / 2, "one after the other"
    assert_all_is_there_once(tracking_server, name, 17)


def test_the_end_waits_as_long_as_something_gets_through(
    journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("search.tracking.tracker.SENDERS", 1)
    for number in range(8):
        trial(journal, number)
    proxy.delay, patience = 0.15, 1.0
    seen: list[int] = []
    began = time.monotonic()
    tracker = track(journal, proxy.uri, name)
    while not tracker.client:  # MLflow's import is no answer's time
        time.sleep(0.05)
    assert tracker.close(patience, seen.append), tracker.error
    assert time.monotonic() - began > 2 * patience
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) > 4
    assert_all_is_there_once(tracking_server, name, 8)


def test_a_server_that_answers_questions_but_writes_nothing_is_given_up(
    journal: Journal, proxy: FaultyProxy, name: str, tracking_server: str
):
    """Its answers are no progress."""
    tracker = track(journal, proxy.uri, name)
    trial(journal, 0)
    while tracker.behind:
        time.sleep(0.05)
    proxy.fault = lambda method, path: "fail" if path.endswith(("create", "log-batch")) else ""
    trial(journal, 1)
    assert not tracker.close(2)
    assert tracker.behind
    proxy.fault = lambda method, path: ""
    assert track(journal, proxy.uri, name).close(PATIENCE)
    assert_all_is_there_once(tracking_server, name, 2)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4] + b"\xff\xff")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_journal(path: Path) -> None:
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"line": "0" * 16}))


def beyond_the_end(path: Path) -> None:
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"offset": 10**9}))


def of_an_earlier_version(path: Path) -> None:
    path.write_text(json.dumps({"offset": json.loads(path.read_text())["offset"]}))


def something_else(path: Path) -> None:
    path.write_text('["offset"]')


@pytest.mark.parametrize(
    "spoil",
    [damaged, truncated, emptied, of_another_journal, beyond_the_end, of_an_earlier_version, something_else],
)
def test_a_note_of_how_far_it_got_that_cannot_be_believed_does_no_harm(
    spoil: Callable[[Path], None], journal: Journal, name: str, tracking_server: str
):
    for number in range(2):
        trial(journal, number)
    assert track(journal, tracking_server, name).close(PATIENCE)
    spoil(journal.path.with_name("tracking.json"))
    trial(journal, 2)
    assert track(journal, tracking_server, name).close(PATIENCE)
    assert_all_is_there_once(tracking_server, name, 3)


def test_another_server_gets_everything_from_the_beginning_and_the_first_one_too_when_it_is_back(
    journal: Journal, name: str, tracking_server: str, tmp_path: Path, empty_database: Path
):
    trial(journal, 0)
    assert track(journal, tracking_server, name).close(PATIENCE)
    trial(journal, 1)
    other = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    assert track(journal, other, name).close(PATIENCE)
    assert_all_is_there_once(other, name, 2)
    trial(journal, 2)
    assert track(journal, tracking_server, name).close(PATIENCE)
    assert_all_is_there_once(tracking_server, name, 3)


def test_a_run_that_was_deleted_by_hand_is_made_again_whole(journal: Journal, name: str, tracking_server: str):
    trial(journal, 0)
    trial(journal, 1)
    assert track(journal, tracking_server, name).close(PATIENCE)
    run = next(run for run in runs_of(tracking_server, name) if run.data.tags.get("search.trial_id") == "t0")
    MlflowClient(tracking_server).delete_run(run.info.run_id)
    assert track(journal, tracking_server, name).close(PATIENCE)
    assert_all_is_there_once(tracking_server, name, 2)


def test_events_of_a_trial_whose_beginning_is_lost_hold_nothing_up(journal: Journal, name: str, tracking_server: str):
    """As when the journal leaves out a damaged line."""
    trial(journal, 0)
    with open(journal.path, "ab") as file:
        lost = {"event": "epoch", "time": time.time(), "id": "t9", "metrics": {"epoch": 1, **EPOCH}}
        file.write(json.dumps(lost).encode() + b"\n")
    assert track(journal, tracking_server, name).close(PATIENCE)
    assert_all_is_there_once(tracking_server, name, 1)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root alone")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(path: Path) -> None:
    """A file that takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.slow
def test_a_server_whose_disk_is_full_gets_the_rest_when_there_is_room_again(
    journal: Journal, small_disk: Path, name: str
):
    server = TrackingServer(small_disk, free_port())
    server.start()
    try:
        tracker = track(journal, server.uri, name)
        trial(journal, 0)
        while tracker.behind:
            time.sleep(0.05)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space left"):
            fill(ballast)
        for number in range(1, 40):  # more than the database's free pages hold
            trial(journal, number)
        while tracker.error is None:
            time.sleep(0.05)
        assert tracker.behind
        ballast.unlink()
        assert tracker.close(PATIENCE), tracker.error
        assert_all_is_there_once(server.uri, name, 40)
    finally:
        server.stop()
