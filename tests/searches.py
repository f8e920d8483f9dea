"""Searches as a person runs them: the command in a process of its own, watched from outside, and killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
from conftest import PROJECT
from mlflow.tracking import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from contract.events import EpochEnded
from contract.steps import StateNotSaved, StepResult, TrialFailed
from search.journal.journal import read
from search.journal.records import Records, TrialRecord
from search.trial.runner import TrialRun
from search.trial.task import Task

TIMED = {"epoch_seconds", "images_per_second", "peak_memory_mb"}


class Search:
    """The command as a person runs it, in a folder of its own."""

    def __init__(self, folder: Path, spec: Path, uri: str):
        self.folder, self.spec, self.uri = folder, spec, uri
        self.pids: set[int] = set()

    def start(self, *options: str, report: bool = False, ray: bool = True) -> subprocess.Popen:
        command = [sys.executable, "-m", "search.run", str(self.spec), *options]
        command += ["--address", "local"] if ray else ["--in-process"]
        command += [] if report else ["--no-report"]
        environment = os.environ | {
            "PYTHONPATH": str(PROJECT),
            "MLFLOW_TRACKING_URI": self.uri,
            "HOME": str(self.folder),  # Ray writes a token there
        }
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self.process

    def finish(self, process: subprocess.Popen) -> str:
        """Wait for the end, noting the workers' process ids; what it printed."""
        while process.poll() is None:
            self.pids |= set(self.workers(process))
            time.sleep(0.05)
        return process.stdout.read()

    @staticmethod
    def raylet(process: subprocess.Popen) -> int:
        """Its process id."""
        (pid,) = (c.pid for c in psutil.Process(process.pid).children(recursive=True) if c.name() == "raylet")
        return pid

    @staticmethod
    def workers(process: subprocess.Popen) -> list[int]:
        """Process ids of the trial workers; Ray titles them by their class, which Tune wraps."""
        with contextlib.suppress(psutil.Error):
            return [c.pid for c in psutil.Process(process.pid).children(recursive=True) if _is_worker(c)]
        return []

    def kill_a_worker(self, process: subprocess.Popen) -> None:
        while not (pids := self.workers(process)):
            assert process.poll() is None, process.stdout.read()
        os.kill(pids[0], signal.SIGKILL)

    def until(self, process: subprocess.Popen, condition: Callable[[dict[str, TrialRecord]], bool]) -> None:
        """Wait until the journal fulfils a condition."""
        while not condition(self.records()):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.02)

    @property
    def state(self) -> Path | None:
        return next(iter(sorted(self.folder.glob("results/*/*"))), None)

    def records(self) -> dict[str, TrialRecord]:
        """The trials as the journal has them, read without taking its lock."""
        records = Records()
        if self.state is not None and (self.state / "journal.jsonl").exists():
            for event, _ in read(self.state / "journal.jsonl"):
                records.replay(event)
        return records.trials

    def study(self) -> optuna.Study:
        storage = JournalStorage(JournalFileBackend(str(self.state / "study.log")))
        return optuna.load_study(study_name=None, storage=storage)

    def runs(self, experiment: str) -> tuple[list, list]:
        """MLflow's parent runs and trial runs."""
        client = MlflowClient(self.uri)
        runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        return [r for r in runs if "search.trial_id" not in r.data.tags], [
            r for r in runs if "search.trial_id" in r.data.tags
        ]


def curve(record: TrialRecord) -> list[dict[str, float]]:
    """The metrics of each epoch, without those that depend on the clock."""
    return [{k: v for k, v in record.epochs[e].items() if k not in TIMED} for e in sorted(record.epochs)]


def undisturbed(search: Search, record: TrialRecord, tmp_path: Path) -> list[dict[str, float]]:
    """The same trial trained in this process, from its beginning."""
    data = {k: v for k, v in json.loads((search.state / "data.json").read_text()).items() if k != "fingerprint"}
    checkpoint = str(tmp_path / f"{record.id}.pt")
    run = TrialRun(Task(record.id, record.params, data, checkpoint, 1, score_test=record.phase == "confirm"))
    results = [run.step() for _ in record.epochs]
    return [{k: v for k, v in result.metrics.items() if k not in TIMED} for result in results]


def plain(result: StepResult) -> dict:
    """What a step gave as one mapping, without what depends on the clock and without notices that say nothing."""
    said = {k: v for k, v in (("lost", result.restore_notice), ("micro_batch", result.micro_batch)) if v}
    if isinstance(result, TrialFailed):
        return {"failure": result.traceback, **said}
    if isinstance(result, StateNotSaved):
        return {"unsaved": result.reason, **said}
    metrics = {k: v for k, v in result.metrics.items() if k not in TIMED}
    return {"epoch": result.epoch, **metrics, "finished": result.finished, **said}


class Nothing:
    """A trial that has not begun."""

    epochs: dict = {}


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(name in "".join(process.cmdline()[:1]) for name in ("TuneTrial", "ResourceTrainable"))
    return False


def assert_whole(search: Search, experiment: str, trials: int, epochs: int, folder: Path) -> None:
    """After whatever happened: every trial complete once everywhere, each with the curve of an undisturbed one."""
    records = search.records()
    assert len(records) == trials
    assert {r.outcome for r in records.values()} == {"completed"}
    assert all(sorted(r.epochs) == list(range(1, epochs + 1)) for r in records.values())
    events = [event for event, _ in read(search.state / "journal.jsonl")]
    told = [(event.id, event.epoch) for event in events if isinstance(event, EpochEnded)]
    assert len(told) == len(set(told)), "an epoch was taken twice"
    study = search.study()
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * trials
    assert all(sorted(t.intermediate_values) == list(range(1, epochs + 1)) for t in study.trials)
    parents, runs = search.runs(experiment)
    assert len(parents) == 1
    assert sorted(r.data.tags["search.trial_id"] for r in runs) == sorted(records)
    assert {r.info.status for r in parents + runs} == {"FINISHED"}
    client = MlflowClient(search.uri)
    for run in runs:
        record = records[run.data.tags["search.trial_id"]]
        history = client.get_metric_history(run.info.run_id, "val_loss")
        assert [(m.step, m.value) for m in history] == [(e, m["val_loss"]) for e, m in sorted(record.epochs.items())]
    for record in records.values():
        assert curve(record) == undisturbed(search, record, folder), record.id
