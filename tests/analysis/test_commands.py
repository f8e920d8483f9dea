"""The commands as another program mounts them, and where they look for the record."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from analysis import compare, report, runs
from analysis.errors import AnalysisError
from contract.locations import resolve_uri

HEAVY = ("mlflow", "pandas", "plotly", "torch", "optuna", "numpy")


@pytest.mark.parametrize(
    ("module", "words"), [(report, ["lenet", "--no-png"]), (compare, ["lenet", "resnet18", "--no-png"])]
)
def test_a_command_can_be_a_subcommand(module, words):
    parser = argparse.ArgumentParser()
    command = parser.add_subparsers(dest="command").add_parser("it", description=module.DESCRIPTION)
    module.add_arguments(command)
    command.set_defaults(run=module.run)
    parsed = parser.parse_args(["it", *words])
    assert parsed.run is module.run
    assert parsed.png is False


@pytest.mark.parametrize("name", ["report", "compare"])
def test_help_needs_none_of_the_large_libraries(name):
    code = (
        f"import sys\nfrom analysis import {name}\n"
        f"try: {name}.main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        f"sys.exit(', '.join(set({HEAVY}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--tracking-uri" in done.stdout


def test_a_submitted_job_looks_where_its_search_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a Ray job the working folder is a copy that Ray removes: the search writes to ~/search/mlflow.db."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    job = tmp_path / "ray" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    job.mkdir(parents=True)
    monkeypatch.chdir(job)
    expected = f"sqlite:///{tmp_path}/search/mlflow.db"
    assert resolve_uri(None) == expected
    with pytest.raises(AnalysisError, match=f"no record in {expected}: "):
        runs.connect(None)
    assert not (job / "mlflow.db").exists()


def test_a_submitted_job_reads_its_record(made_search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "mlflow.db").write_bytes((made_search.folder / "mlflow.db").read_bytes())
    job = tmp_path / "runtime_resources" / "job"
    job.mkdir(parents=True)
    monkeypatch.chdir(job)
    assert set(runs.load("made").trials["search"]) == {made_search.id}
