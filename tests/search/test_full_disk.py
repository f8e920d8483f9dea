"""Whole searches on a real disk that is full: they end cleanly, say why, and go on once there is room."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import write_spec
from searches import Search

from contract.outcomes import Outcome
from search import run
from search.journal.journal import Journal


@pytest.fixture
def disk(tmp_path: Path):
    """A file system of 16 MB for the results; the checkpoints of a few small networks fit."""
    if os.geteuid():
        pytest.skip("only root can mount")
    results = tmp_path / "results"
    results.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(results)], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    yield results
    subprocess.run(["umount", "-l", str(results)], check=True)


def fill(disk: Path) -> None:
    """Leave room for the journal and the study, for one checkpoint of 2 MB, and for no second one beside it."""
    room = os.statvfs(disk)
    (disk / "filling").write_bytes(bytes(room.f_bavail * room.f_frsize - 3_000_000))


def make_spec(tmp_path: Path) -> Path:
    return write_spec(
        tmp_path / "full.yaml",
        space={"lr": 1e-3, "seed": {"grid": [0, 1, 2]}, "batch_size": 256, "train_fraction": 0.5},
        scheduler={"name": "none", "max_epochs": 3},
        budget={"trials": 3},
    )


def check_interrupted(disk: Path, output: str) -> None:
    assert "No space left on device" in output
    assert "free some space" in output
    assert "--resume" in output
    assert "Traceback" not in output
    (state,) = disk.glob("full/*/")
    journal = Journal(state / "journal.jsonl")
    outcomes = {record.outcome for record in journal.records.values()}
    journal.close()
    assert Outcome.INTERRUPTED in outcomes
    assert outcomes <= {Outcome.INTERRUPTED, Outcome.COMPLETED}
    assert not list(state.glob("checkpoints/*.new"))


def check_whole(disk: Path) -> None:
    (state,) = disk.glob("full/*/")
    journal = Journal(state / "journal.jsonl")
    assert [r.outcome for r in journal.records.values()] == [Outcome.COMPLETED] * 3
    assert all(sorted(r.epochs) == [1, 2, 3] for r in journal.records.values())
    journal.close()


def test_a_search_in_this_process(disk: Path, tmp_path: Path, empty_database: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    command = [str(make_spec(tmp_path)), "--in-process", "--no-report"]
    fill(disk)
    assert run.main(command) == 130
    check_interrupted(disk, capsys.readouterr().out)
    with sqlite3.connect("mlflow.db") as database:
        assert database.execute("select count(*) from runs where status = 'RUNNING'").fetchone() == (0,)
    (disk / "filling").unlink()
    assert run.main([*command, "--resume"]) == 0
    check_whole(disk)


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_on_ray(disk: Path, tmp_path: Path, empty_database: Path):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    search = Search(tmp_path, make_spec(tmp_path), f"sqlite:///{tmp_path}/mlflow.db")
    fill(disk)
    output = search.finish(search.start())
    assert search.process.returncode == 130, output
    check_interrupted(disk, output)
    (disk / "filling").unlink()
    output = search.finish(search.start("--resume"))
    assert search.process.returncode == 0, output
    check_whole(disk)
