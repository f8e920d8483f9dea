"""Who may import whom, as the table in the design says: read from the files, whether or not the line is ever run."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FORBIDDEN = {
    # folder: what no file in it may import, not even inside a function
    "trainables": {"search", "analysis", "ray", "mlflow", "optuna", "pandas", "pydantic", "rich"},
    "search": {"analysis"},
    "analysis": {"search"},
}
ALLOWED_AT_MODULE_LEVEL = {"trainables": {"torch", "torchvision", "numpy", "trainables", *sys.stdlib_module_names}}
REPORTS = {"publish.py"}
"""The files of search/ that may import analysis: a search makes its report at the end."""
RAY = {"cluster.py", "tuner.py", "worker.py"}
"""The files of search/ that may import Ray: the others say that they are free of it."""
FOLDERS = tuple(FORBIDDEN)
FILES = [path for folder in FOLDERS for path in sorted((PROJECT / folder).rglob("*.py"))]


def imports(source: str) -> Iterator[tuple[str, bool, int]]:
    """Of every import its top-level package, whether it is run when the module is, and its line."""
    yield from _imports(ast.parse(source), at_module_level=True)


def _imports(node: ast.AST, at_module_level: bool) -> Iterator[tuple[str, bool, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name.partition(".")[0], at_module_level, child.lineno
        elif isinstance(child, ast.ImportFrom):
            yield ("." if child.level else str(child.module).partition(".")[0]), at_module_level, child.lineno
        elif isinstance(child, ast.Call) and (name := _imported_by_call(child)):
            yield name, at_module_level, child.lineno
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, at_module_level and not inside)


def _imported_by_call(call: ast.Call) -> str | None:
    """The package of `importlib.import_module("x")` and `__import__("x")`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    argument = call.args[0] if call.args else None
    if name in ("import_module", "__import__") and isinstance(argument, ast.Constant):
        return str(argument.value).partition(".")[0]
    return None


def trespasses(path: Path, root: Path = PROJECT) -> list[str]:
    """What a file imports and may not, as `file:line: package`."""
    where = path.relative_to(root)
    folder = where.parts[0]
    found = []
    for package, at_module_level, line in imports(path.read_text()):
        allowed = ALLOWED_AT_MODULE_LEVEL.get(folder)
        if folder == "search" and package == "analysis" and path.name in REPORTS:
            continue
        wrong = (
            package in FORBIDDEN[folder]
            or package == "."
            or (at_module_level and allowed is not None and package not in allowed)
        )
        if wrong or (folder == "search" and package == "ray" and path.name not in RAY):
            found.append(f"{where}:{line}: {package}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_file_imports_only_what_its_room_may(path):
    assert trespasses(path) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_is_looked_at(folder):
    assert any(path.relative_to(PROJECT).parts[0] == folder for path in FILES)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=lambda path: str(path.relative_to(PROJECT))
)
def test_an_init_file_is_empty(path):
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("folder", "line", "caught"),
    [
        ("trainables", "import ray", "ray"),
        ("trainables", "import ray.tune as tune", "ray"),
        ("trainables", "import os, optuna", "optuna"),
        ("trainables", "from search.spec.loader import load", "search"),
        ("trainables", "from analysis import runs", "analysis"),
        ("trainables", "from . import config", "."),
        ("trainables", "import pyarrow", "pyarrow"),
        ("trainables", "from sklearn.datasets import load_digits", "sklearn"),
        ("trainables", "try:\n    import PIL\nexcept ImportError:\n    PIL = None", "PIL"),
        ("trainables", "class A:\n    import scipy", "scipy"),
        ("trainables", "import timm", "timm"),
        ("trainables", "if True:\n    from mlflow import tracking", "mlflow"),
        ("trainables", "def f():\n    import pandas", "pandas"),
        ("trainables", "def f():\n    def g():\n        from pydantic import BaseModel", "pydantic"),
        ("trainables", "async def f():\n    import rich.console", "rich"),
        ("trainables", "def f():\n    return importlib.import_module('ray.tune')", "ray"),
        ("trainables", "f = lambda: __import__('mlflow')", "mlflow"),
        ("search", "from analysis.runs import trials", "analysis"),
        ("search", "def f():\n    import analysis", "analysis"),
        ("search", "import ray", "ray"),
        ("analysis", "import search.journal.journal", "search"),
        ("analysis", "def f():\n    from search import journal", "search"),
    ],
)
def test_a_forbidden_import_is_caught(tmp_path, folder, line, caught):
    path = tmp_path / folder / "made.py"
    path.parent.mkdir()
    path.write_text(f'"""Made."""\n\n{line}\n')
    [found] = trespasses(path, tmp_path)
    assert found.startswith(f"{folder}/made.py:")
    assert found.endswith(f": {caught}")


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("trainables", "import torch.nn.functional as F\nfrom torchvision import datasets\nimport numpy as np"),
        ("trainables", "import fcntl\nfrom trainables.config import TrainConfig"),
        ("trainables", "from __future__ import annotations"),
        ("trainables", "def load(root):\n    import pyarrow.parquet\n    from PIL import Image\n    import scipy.io"),
        ("trainables", "import torchvision.models as zoo\n\n\ndef build():\n    import timm"),
        ("trainables", "names = ['import ray', 'search']  # from search import spec"),
        ("search", "import optuna, mlflow, pydantic, rich, yaml\nfrom trainables.train import train"),
        ("analysis", "import mlflow, pandas, optuna\nfrom trainables.predictor import Predictor"),
        ("analysis", "from analysis import runs"),
    ],
)
def test_what_is_allowed_is_not_caught(tmp_path, folder, line):
    path = tmp_path / folder / "made.py"
    path.parent.mkdir()
    path.write_text(f"{line}\n")
    assert trespasses(path, tmp_path) == []


@pytest.mark.parametrize(
    ("name", "package"), [*((name, "ray") for name in sorted(RAY)), *((name, "analysis") for name in sorted(REPORTS))]
)
def test_only_the_files_that_run_ray_or_make_reports_may_import_it(tmp_path, name, package):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / name).write_text(f"import {package}\n")
    assert trespasses(tmp_path / "search" / name, tmp_path) == []
    assert (PROJECT / "search" / name).exists()
