"""What the backend on Ray makes of Tune's calls, with Tune's side made up."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_spec
from searches import Search

from contract.events import MicroBatchSet
from search.backends import ray_private, ray_tune
from search.backends.ray_worker import TASK
from search.journal.journal import read

MONITOR = "1 worker(s) were killed due to the node running low on memory."
DEATH = "The actor died unexpectedly. There are some potential root causes. (1) The process is killed by the OOM killer"


class Phases:
    """Notes down what it hears."""

    def __init__(self):
        self.heard: list[tuple] = []

    def on_worker_died(self, id: str, error: str, node: str | None, *, out_of_memory: bool) -> None:
        self.heard.append(("died", id, node, out_of_memory))

    def reschedule(self, id: str) -> None:
        self.heard.append(("rescheduled", id))


class Monitor:
    """A monitor of a cluster whose only node is this."""

    def __init__(self, *, lost: bool = False, ray_died: bool = False):
        self.lost, self.died = lost, ray_died

    def ray_died(self) -> bool:
        return self.died

    def is_lost(self, node: str) -> bool:
        assert node == "n"
        return self.lost


@pytest.mark.parametrize(
    ("error", "monitor", "heard"),
    [
        (MONITOR, Monitor(), [("died", "t0", "n", True)]),
        (DEATH, Monitor(), [("died", "t0", "n", False)]),
        (DEATH, Monitor(lost=True), [("rescheduled", "t0")]),
        (DEATH, Monitor(ray_died=True), []),  # no fault of the trial
    ],
)
def test_of_a_dead_worker_it_is_said_what_of_and_where(tmp_path: Path, monkeypatch, error, monitor, heard):
    monkeypatch.setattr(ray_private, "node_of_actor", lambda error: "n")
    path = tmp_path / "error.txt"
    path.write_text(f"Failure # 1 (occurred at noon)\n{error}\n")
    trial = SimpleNamespace(error_file=str(path), config={TASK: SimpleNamespace(id="t0")})
    phases = Phases()
    ray_tune._Failures(phases, monitor).on_trial_error(1, [trial], trial)
    assert phases.heard == heard


@pytest.mark.ray
@pytest.mark.slow
def test_rays_memory_monitor_is_survived(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch):
    """A real one, to which this machine always seems full: it kills every worker of its own, and of no other."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "500")
    spec = write_spec(
        tmp_path / "full.yaml",
        space={"lr": 1e-3, "batch_size": 256},
        scheduler={"name": "none", "max_epochs": 200},
        budget={"trials": 1},
        resources={"retries": 2},
    )
    search = Search(tmp_path, spec, f"sqlite:///{tmp_path}/mlflow.db")
    output = search.finish(search.start())
    (record,) = search.records().values()
    assert record.outcome == "failed", output
    assert "killed for memory" in record.reason
    events = [event for event, _ in read(search.state / "journal.jsonl")]
    assert [e.micro_batch for e in events if isinstance(e, MicroBatchSet)] == [128, 64]
    assert output.count("its worker was killed for memory: continues with") == 2
    (run,) = search.runs("full")[1]
    assert run.data.tags.get("micro_batch") == "64"
    assert run.info.status == "FAILED"
