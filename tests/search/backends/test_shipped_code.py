"""The code that the workers of a cluster are sent: the checkout, or the packages where they are installed."""

import subprocess
import sys

import pytest
from conftest import PROJECT

from contract import installation
from search.backends import cluster

ALL = {"analysis", "contract", "search", "trainables"}


def test_of_a_checkout_the_whole_folder_is_sent():
    assert cluster._code() == {"working_dir": str(PROJECT)}


def test_where_it_is_installed_its_packages_alone_are_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "FOLDER", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "somebody-elses"\n')
    assert cluster._code() == {"py_modules": [str(tmp_path / name) for name in ("contract", "search", "trainables")]}


@pytest.mark.process
def test_a_worker_imports_no_package_that_is_not_sent():
    code = "import search.backends.ray_worker, search.trial.runner, sys; print({m.split('.')[0] for m in sys.modules})"
    printed = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert {name for name in ALL if f"'{name}'" in printed.stdout} <= set(cluster.PACKAGES)
