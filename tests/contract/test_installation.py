"""Whether this is a checkout, and its version: told from the project's own pyproject.toml alone."""

import re
from pathlib import Path

import pytest
from conftest import PROJECT

from contract import installation

OTHERS = '[project]\nname = "somebody-elses"\nversion = "9.9"\n'


def test_a_checkout_knows_itself_and_its_version():
    assert installation.checkout() == PROJECT
    [written] = re.findall(r'^version = "(.*)"$', (PROJECT / "pyproject.toml").read_text(), re.M)
    assert installation.version() == written


@pytest.mark.parametrize("content", [None, OTHERS, "not TOML [", "[tool.poetry]\nname = 'old'\n"])
def test_a_pyproject_of_another_package_makes_no_checkout(tmp_path: Path, monkeypatch, content):
    monkeypatch.setattr(installation, "FOLDER", tmp_path)
    monkeypatch.setattr(installation, "DISTRIBUTION", "hyperparameter-search-that-pip-does-not-know")
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    assert installation.checkout() is None
    assert installation.version() == "unknown"


def test_where_it_is_installed_the_version_is_what_pip_says(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "FOLDER", tmp_path)
    monkeypatch.setattr(installation, "DISTRIBUTION", "pytest")
    assert installation.version() == pytest.__version__
