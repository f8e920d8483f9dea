"""What the engine on Ray makes of Tune's calls, with Tune's side made up."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_spec
from searches import Search

from search import tuner
from search.journal import read

MONITOR = "1 worker(s) were killed due to the node running low on memory."
DEATH = "The actor died unexpectedly. There are some potential root causes. (1) The process is killed by the OOM killer"


class Phases:
    def __init__(self):
        self.halved: list[str] = []
        self.failed: list[str] = []

    def fail(self, id: str, error: str) -> None:
        self.failed.append(error.splitlines()[-1])

    def halve(self, id: str) -> int | None:
        self.halved.append(id)
        return 8


@pytest.mark.parametrize(("errors", "halved"), [([MONITOR], True), ([DEATH], False), ([MONITOR, DEATH], False)])
def test_a_trial_goes_on_with_fewer_images_where_its_worker_was_killed_for_memory(tmp_path: Path, errors, halved):
    path = tmp_path / "error.txt"
    path.write_text("".join(f"Failure # {n} (occurred at noon)\n{error}\n" for n, error in enumerate(errors, 1)))
    trial = SimpleNamespace(error_file=str(path), num_failures=len(errors), config={"id": "t0", "images_a_pass": 16})
    phases = Phases()
    tuner._Failures(phases, lambda: False).on_trial_recover(1, [trial], trial)
    assert trial.config["images_a_pass"] == (8 if halved else 16)
    assert phases.halved == (["t0"] if halved else [])
    tuner._Failures(phases, lambda: False).on_trial_error(1, [trial], trial)
    (reason,) = phases.failed
    assert reason.startswith("The trial's worker died")
    assert ("killed for memory" in reason) is halved
    tuner._Failures(phases, lambda: True).on_trial_error(1, [trial], trial)
    assert len(phases.failed) == 1, "where Ray itself has died it is no fault of the trial"


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
    assert [e["images_a_pass"] for e in events if e["event"] == "memory"] == [128, 64]
    assert output.count("its worker was killed for memory: goes on with") == 2
    (run,) = search.runs("full")[1]
    assert run.data.tags.get("images_a_pass") == "64"
    assert run.info.status == "FAILED"
