"""Whole searches in this process, through the command line: what a person types, and what they then see."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import PROJECT, free_port, write_picture_folders, write_spec
from rich.console import Console

import trainables.datasets.cifar10
import trainables.training
from contract.events import EpochEnded, MicroBatchSet, StateLost, TrialEnded, TrialStarted
from contract.formatting import duration
from contract.outcomes import Outcome
from search import run
from search.cli.progress import Progress
from search.journal.journal import Journal
from search.spec.loader import load
from search.spec.spec import Spec

COLOURS = ("black", "blue", "green", "red")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEARCH_DATA_DIR", raising=False)  # the data made for these tests is in ./data
    shutil.copy(empty_database, tmp_path / "mlflow.db")


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, str]:
    """A small data set of the user's own, as a spec's `data`."""
    write_picture_folders(tmp_path / "data" / "mine", COLOURS, {"train": 50, "test": 5})
    return {"name": "image_folder", "folder": "mine", "validation": 0.2}


def search(spec: Path, *options: str) -> int:
    return run.main([str(spec), "--in-process", "--no-report", *options])


def only(pattern: str) -> Path:
    (path,) = Path.cwd().glob(pattern)
    return path


def test_a_search_trains_confirms_and_says_what_won(pictures, tmp_path: Path, capsys: pytest.CaptureFixture):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures, confirm={"top": 1, "seeds": 2})
    assert search(spec) == 0
    out = capsys.readouterr().out
    assert "Best settings, confirmed" in out
    assert re.search(r"test_accuracy.*\n.*\n.*\d+\.\d\d ± \d+\.\d\d %", out)
    assert "n ┃" in out
    assert "mlflow ui" in out
    assert "optuna-dashboard" in out
    with sqlite3.connect("mlflow.db") as database:
        statuses = dict(database.execute("select status, count(*) from runs group by status").fetchall())
    assert sum(statuses.values()) == 1 + 4 + 2
    assert "RUNNING" not in statuses


def test_a_dry_run_shows_everything_and_leaves_nothing(pictures, tmp_path: Path, capsys: pytest.CaptureFixture):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures)
    assert search(spec, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "0.0001 .. 0.1 (log)" in out
    assert "4 trials by random, 16 epochs at the most; rungs after epochs: 1, 2" in out
    assert "one trial at a time in this process" in out
    assert sum(line.startswith("│") for line in out.splitlines()) == 4, "as many samples as trials, five at most"
    assert not Path("results").exists()
    with sqlite3.connect("mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (0,)


def test_the_dry_runs_samples_are_what_the_search_then_tries(pictures, tmp_path: Path, capsys: pytest.CaptureFixture):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures, budget={"trials": 1}, scheduler={"max_epochs": 1})
    search(spec, "--dry-run")
    sample = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-3].strip("│").split("│")]
    search(spec)
    (record,) = Journal(only("results/mine/*/journal.jsonl")).records.values()
    assert sample == [f"{record.params['lr']:.4g}", str(record.params["batch_size"])]


def test_overrides_win_and_are_recorded(pictures, tmp_path: Path):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures)
    overrides = ("budget.trials=1", "space.lr=1e-3", "scheduler.max_epochs=1")
    assert search(spec, *(part for o in overrides for part in ("--set", o))) == 0
    (record,) = Journal(only("results/mine/*/journal.jsonl")).records.values()
    assert record.params["lr"] == 1e-3
    assert len(record.epochs) == 1
    assert yaml.safe_load(only("results/mine/*/spec.yaml").read_text())["budget"] == {"trials": 1}


def test_a_substitute_cannot_be_mistaken_for_the_real_data(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(trainables.datasets.cifar10, "HOST", "localhost.invalid")
    overrides = ("budget.trials=1", "scheduler.max_epochs=1", "confirm=null")
    assert search(PROJECT / "spaces/lenet.yaml", *(part for o in overrides for part in ("--set", o))) == 0
    out = capsys.readouterr().out
    assert out.count("NOT cifar10") == 2, "before and after"
    assert "digits (SUBSTITUTE, not cifar10)" in out
    with sqlite3.connect("mlflow.db") as database:
        names = {name for (name,) in database.execute("select name from experiments")}
        tags = {value for (value,) in database.execute("select value from tags where key = 'data.substitute_for'")}
    assert "lenet" not in names
    assert "lenet-SUBSTITUTE-digits" in names
    assert tags == {"cifar10"}


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch):
    """Training fails in every trial with a batch size of 64."""
    original = trainables.training.train_step

    def step(config, state, images, labels, *others):
        if len(labels) == 64:
            raise RuntimeError("no luck")
        return original(config, state, images, labels, *others)

    monkeypatch.setattr(trainables.training, "train_step", step)


def test_a_failing_trial_shows_one_short_line_and_where_the_whole_is(
    pictures, unlucky, tmp_path: Path, capsys: pytest.CaptureFixture
):
    spec = write_spec(
        tmp_path / "mine.yaml",
        data=pictures,
        space={"batch_size": {"grid": [32, 64]}},
        sampler={"name": "grid"},
        scheduler={"max_epochs": 1},
    )
    assert search(spec) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "failed" in line and "trial-0001" in line]
    assert "RuntimeError: no luck" in line
    assert "Traceback" not in out
    whole = only("results/mine/*/errors/trial-0001.txt")
    assert str(whole.relative_to(tmp_path)) in line
    assert "Traceback" in whole.read_text()


def test_when_nothing_works_the_search_gives_up_early_with_exit_code_1(
    pictures, unlucky, tmp_path: Path, capsys: pytest.CaptureFixture
):
    space = {"batch_size": 64, "lr": {"uniform": [0.1, 0.2]}}
    spec = write_spec(tmp_path / "mine.yaml", data=pictures, space=space, budget={"trials": 50})
    assert search(spec) == 1
    out = capsys.readouterr().out
    assert "no more are started" in out
    assert out.count("no luck") == 5


def test_a_diverging_trial_is_not_the_best(pictures, tmp_path: Path):
    spec = write_spec(
        tmp_path / "mine.yaml",
        data=pictures,
        space={"optimizer": "sgd", "lr": {"grid": [1e30, 1e-2]}},
        sampler={"name": "grid"},
        scheduler={"name": "none", "max_epochs": 2},
        confirm={"top": 2, "seeds": 1},
    )
    assert search(spec) == 0
    records = Journal(only("results/mine/*/journal.jsonl")).records
    assert records["trial-0000"].outcome is Outcome.DIVERGED
    assert [r.number for r in records.values() if r.phase == "confirm"] == [1]


def test_repeats_over_seeds_are_shown_with_their_spread(pictures, tmp_path: Path, capsys: pytest.CaptureFixture):
    spec = write_spec(
        tmp_path / "mine.yaml",
        data=pictures,
        space={"train_fraction": {"grid": [0.5, 1.0]}, "seed": {"grid": [0, 1]}, "batch_size": 32},
        sampler={"name": "grid"},
        scheduler={"name": "none", "max_epochs": 1},
        budget={},
    )
    assert search(spec) == 0
    out = capsys.readouterr().out
    assert "Settings by mean val_accuracy over seeds" in out
    assert len(re.findall(r"│ 2 │ +\d+\.\d\d ± \d+\.\d\d %", out)) == 2


def test_more_trials_can_be_added_to_a_finished_search(pictures, tmp_path: Path):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures, budget={"trials": 2}, scheduler={"max_epochs": 1})
    assert search(spec) == 0
    before = Journal(only("results/mine/*/journal.jsonl")).records
    assert search(spec, "--resume", "--set", "budget.trials=3") == 0
    after = Journal(only("results/mine/*/journal.jsonl")).records
    assert list(after) == ["trial-0000", "trial-0001", "trial-0002"]
    assert all(after[id].epochs == record.epochs for id, record in before.items())


def shown_to(console: Console, spec: Spec, journal: Journal) -> SimpleNamespace:
    """What the progress asks of a search's context."""
    return SimpleNamespace(console=console, spec=spec, journal=journal, source=SimpleNamespace(title="digits"))


def test_the_live_view_shows_counts_the_best_and_what_runs(tmp_path: Path):
    spec = load(write_spec(tmp_path / "view.yaml"))
    journal = Journal(tmp_path / "journal.jsonl")
    terminal = Console(file=StringIO(), force_terminal=True, width=120, color_system=None)
    with Progress(shown_to(terminal, spec, journal), "search", 4, 2) as progress:
        for number, value in enumerate((0.9, 0.5)):
            params = {"lr": 0.01, "batch_size": 32, "epochs": 4}
            journal.append(TrialStarted(id=f"trial-{number:04d}", number=number, phase="search", params=params))
            journal.append(EpochEnded(id=f"trial-{number:04d}", epoch=1, metrics={"val_accuracy": value}))
        journal.append(TrialEnded(id="trial-0000", outcome=Outcome.STOPPED, reason="", epoch=1))
        view = Console(file=StringIO(), width=120)
        view.print(progress._view())
    shown = view.file.getvalue()
    assert "1/4 trials" in shown
    assert "1 stopped" in shown
    assert "best so far: val_accuracy 0.9000 after epoch 1  lr=0.01 batch_size=32" in shown
    assert re.search(r"trial-0001\s+1/4\s+0\.5000", shown)
    journal.close()


def test_what_was_lost_and_what_did_not_fit_is_said(tmp_path: Path):
    spec, journal = load(write_spec(tmp_path / "mine.yaml")), Journal(tmp_path / "journal.jsonl")
    console = Console(file=StringIO(), width=120)
    with Progress(shown_to(console, spec, journal), "search", 4, 2):
        for id in ("t0", "t1"):
            journal.append(TrialStarted(id=id, number=0, phase="search", params={"epochs": 4}))
        journal.append(StateLost(id="t0", text="checkpoint damaged: continues from epoch 3"))
        journal.append(MicroBatchSet(id="t0", micro_batch=64, reason="out of memory"))
        journal.append(MicroBatchSet(id="t1", micro_batch=64, reason=""))
    journal.close()
    damaged, divided = console.file.getvalue().splitlines()
    assert damaged.endswith("t0  checkpoint damaged: continues from epoch 3")
    assert divided.endswith("t0  out of memory: continues with 64 images at a time")


@pytest.mark.parametrize(
    ("seconds", "text"), [(8, "8 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3720, "1 h 02 min")]
)
def test_durations_read_well(seconds: float, text: str):
    assert duration(seconds) == text


def test_the_journal_holds_what_was_run_on_what(pictures, tmp_path: Path):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures, budget={"trials": 1}, scheduler={"max_epochs": 1})
    assert search(spec) == 0
    first = json.loads(only("results/mine/*/journal.jsonl").read_text().splitlines()[0])
    assert first["event"] == "launch"
    assert first["resources"]


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_search_cleanly_and_it_can_be_gone_on_with(number: signal.Signals, pictures, tmp_path: Path):
    spec = write_spec(
        tmp_path / "mine.yaml",
        data=pictures,
        space={"lr": {"loguniform": [1e-4, 1e-2]}, "batch_size": 32},
        budget={"trials": 2},
        scheduler={"name": "none", "max_epochs": 40},
    )
    command = [sys.executable, "-m", "search.run", str(spec), "--in-process", "--no-report"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not any('"epoch"' in path.read_text() for path in tmp_path.glob("results/*/*/journal.jsonl")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    process.send_signal(number)
    output = process.stdout.read()
    assert process.wait() == 130
    assert "Traceback" not in output
    id = only("results/mine/*").name
    assert f"--resume {id}" in output
    with sqlite3.connect("mlflow.db") as database:
        assert "RUNNING" not in {status for (status,) in database.execute("select status from runs")}
    assert search(spec, "--resume", id) == 0
    records = Journal(only("results/mine/*/journal.jsonl")).records
    assert {r.outcome for r in records.values()} == {Outcome.COMPLETED}
    assert all(sorted(r.epochs) == list(range(1, 41)) for r in records.values())


@pytest.mark.process
def test_optuna_dashboard_opens_the_study(pictures, tmp_path: Path):
    spec = write_spec(tmp_path / "mine.yaml", data=pictures, budget={"trials": 2}, scheduler={"max_epochs": 1})
    assert search(spec) == 0
    port = free_port()
    command = ["-c", "from optuna_dashboard._cli import main; main()", str(only("results/mine/*/study.log"))]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        while True:
            assert process.poll() is None, process.stdout.read()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                    studies = json.load(answer)["study_summaries"]
                break
            except OSError:
                time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
    assert [study["study_name"] for study in studies] == ["mine"]
