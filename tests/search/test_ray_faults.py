"""Searches on real Ray processes whose workers and raylet are killed: they heal by themselves."""

import os
import signal
import time
from pathlib import Path

import pytest
from conftest import write_spec
from optuna.trial import TrialState
from searches import Nothing, Search, curve, undisturbed

from contract.events import EpochEnded
from search.journal.journal import read

pytestmark = pytest.mark.ray
LONG = {"lr": {"loguniform": [1e-4, 1e-2]}, "batch_size": 8}


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory, tracking_server: str) -> Search:
    """A search of which first all workers are killed at once, and then the raylet, with all its processes."""
    folder = tmp_path_factory.mktemp("healed")
    spec = write_spec(
        folder / "healed.yaml", space=LONG, scheduler={"name": "none", "max_epochs": 12}, budget={"trials": 4}
    )
    search = Search(folder, spec, tracking_server)
    try:
        process = search.start()
        search.until(process, lambda records: len(records.get("trial-0001", Nothing).epochs) >= 2)
        for pid in search.workers(process):
            os.kill(pid, signal.SIGKILL)
        before = sum(len(r.epochs) for r in search.records().values())
        search.until(process, lambda records: sum(len(r.epochs) for r in records.values()) >= before + 4)
        os.kill(search.raylet(process), signal.SIGKILL)
        search.output = search.finish(process)
        assert process.returncode == 0, search.output
        yield search
    finally:
        search.process.kill()


def test_a_search_outlives_all_its_workers_and_its_raylet(healed: Search):
    records = healed.records()
    assert {r.outcome for r in records.values()} == {"completed"}
    assert all(sorted(r.epochs) == list(range(1, 13)) for r in records.values())
    assert [t.state for t in healed.study().trials] == [TrialState.COMPLETE] * 4
    parents, trials = healed.runs("healed")
    assert (len(parents), sorted(r.data.tags["search.trial_id"] for r in trials)) == (1, sorted(records))
    assert {r.info.status for r in parents + trials} == {"FINISHED"}


def test_it_says_that_ray_was_started_again(healed: Search):
    assert healed.output.count("Ray died on this machine, and is started again") == 1
    assert "Traceback" not in healed.output


def test_no_epoch_is_trained_twice_but_the_ones_that_were_running(healed: Search):
    events = [event for event, _ in read(healed.state / "journal.jsonl")]
    epochs = [(event.id, event.epoch) for event in events if isinstance(event, EpochEnded)]
    assert len(epochs) == len(set(epochs))


def test_the_curves_are_those_of_undisturbed_trials(healed: Search, tmp_path: Path):
    for record in healed.records().values():
        assert curve(record) == undisturbed(healed, record, tmp_path), record.id


def test_a_trial_whose_worker_dies_too_often_fails_with_the_reason_and_the_search_goes_on(
    tmp_path: Path, tracking_server: str
):
    spec = write_spec(
        tmp_path / "unlucky.yaml",
        space=LONG,
        scheduler={"name": "none", "max_epochs": 8},
        budget={"trials": 3, "concurrent": 1},
        resources={"retries": 1},
    )
    search = Search(tmp_path, spec, tracking_server)
    process = search.start()
    try:
        for epochs in (1, 3):
            search.until(process, lambda records, n=epochs: len(records.get("trial-0000", Nothing).epochs) >= n)
            search.kill_a_worker(process)
            time.sleep(1)
        output = search.finish(process)
    finally:
        process.kill()
    assert process.returncode == 0, output
    first, *others = search.records().values()
    assert first.outcome == "failed"
    assert "worker died 2 times" in first.reason
    assert len(first.epochs) >= 3
    assert [r.outcome for r in others] == ["completed"] * 2
    _, trials = search.runs("unlucky")
    assert {r.data.tags["search.trial_id"]: r.info.status for r in trials} == {
        "trial-0000": "FAILED",
        "trial-0001": "FINISHED",
        "trial-0002": "FINISHED",
    }
    assert [t.state for t in search.study().trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
