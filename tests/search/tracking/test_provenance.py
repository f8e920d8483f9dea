"""Which commit a result is said to come from."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT

from contract import installation, record
from search.tracking import provenance


def repository(folder: Path) -> str:
    """Make a folder a git repository with one commit of all that is in it; the commit."""
    git = ["git", "-c", "user.name=made", "-c", "user.email=made@localhost"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--allow-empty", "-m", "made"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the project seems to be."""
    monkeypatch.setattr(installation, "FOLDER", tmp_path / "outer" / "project")
    installation.FOLDER.mkdir(parents=True)
    return installation.FOLDER


def test_the_commit_is_that_of_the_checkout(project):
    shutil.copy(PROJECT / "pyproject.toml", project)
    made = repository(project).strip()
    assert provenance.commit() == made
    assert provenance.describe()[record.COMMIT] == made
    assert provenance.describe()[record.DIRTY] == "false"
    (project / "new.py").write_text("")
    assert provenance.describe()[record.DIRTY] == "true"


def test_a_checkout_without_git_has_none(project):
    shutil.copy(PROJECT / "pyproject.toml", project)
    assert provenance.describe() | {record.COMMIT: "none", record.DIRTY: "false"} == provenance.describe()


@pytest.mark.parametrize("is_checkout", [False, True], ids=["installed", "a folder of it"])
def test_of_a_repository_around_the_project_no_commit_is_claimed(project, is_checkout):
    if is_checkout:
        shutil.copy(PROJECT / "pyproject.toml", project)
    repository(project.parent)
    assert provenance.commit() == ""
    assert provenance.describe()[record.COMMIT] == "none"
    assert provenance.describe()[record.DIRTY] == "false"


def test_the_version_of_the_project_is_among_the_versions():
    assert f"{installation.DISTRIBUTION} {installation.version()}, python " in provenance.describe()[record.VERSIONS]
