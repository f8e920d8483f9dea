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
ALLOWED = {"contract": {"contract", *sys.stdlib_module_names}}
"""All that a folder may import, inside a function too."""
ALLOWED_AT_MODULE_LEVEL = {
    "trainables": {"torch", "torchvision", "numpy", "contract", "trainables", *sys.stdlib_module_names}
}
REPORTS = {"search/tracking/publication.py", "search/main.py"}
"""The files of search/ that may import analysis: a search makes its report at the end, and one command has all."""
RAY = {f"search/backends/{name}.py" for name in ("cluster", "ray_private", "ray_tune", "ray_worker", "tune_private")}
"""The files of search/ that may import Ray: the others say that they are free of it."""
GROUPS = (
    "storage", "spec", "trial", "journal", "study", "orchestration", "tracking", "preflight", "backends", "cli",
)  # fmt: skip
"""The folders of search/, each of which may import those before it. What lies beside them may import all."""
BELOW_ALL = ("errors", "example_specs")
"""The modules beside the groups that all of these may import."""
FOLDERS = (*ALLOWED, *FORBIDDEN)
FILES = [path for folder in FOLDERS for path in sorted((PROJECT / folder).rglob("*.py"))]


def arrows(path: Path, root: Path = PROJECT) -> Iterator[tuple[str, int]]:
    """The modules of search/ beside and in the groups that a file imports, as `search.GROUP` or `search.MODULE`."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and _imported_by_call(node, whole=True):
            names = [_imported_by_call(node, whole=True) or ""]
        for name in names:
            if name.startswith("search."):
                yield name.split(".")[1], node.lineno


def against_the_stream(path: Path, root: Path = PROJECT) -> list[str]:
    """What a file of a group imports of a group behind its own, or of the modules beside the groups."""
    group = path.relative_to(root).parts[1]
    if group not in GROUPS:
        return []
    before = {*GROUPS[: GROUPS.index(group) + 1], *BELOW_ALL}
    return [f"{path.relative_to(root)}:{line}: {to}" for to, line in arrows(path, root) if to not in before]


def imports(source: str) -> Iterator[tuple[str, bool, int]]:
    """The top-level package of every import, whether it is run when the module is, and its line."""
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


def _imported_by_call(call: ast.Call, *, whole: bool = False) -> str | None:
    """The package, or the whole name, of `importlib.import_module("x")` and `__import__("x")`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    argument = call.args[0] if call.args else None
    if name in ("import_module", "__import__") and isinstance(argument, ast.Constant):
        return str(argument.value) if whole else str(argument.value).partition(".")[0]
    return None


def trespasses(path: Path, root: Path = PROJECT) -> list[str]:
    """What a file imports and may not, as `file:line: package`."""
    where = path.relative_to(root)
    folder = where.parts[0]
    found = []
    for package, at_module_level, line in imports(path.read_text()):
        if package == "analysis" and str(where) in REPORTS:
            continue
        wrong = (
            package in FORBIDDEN.get(folder, ())
            or package == "."
            or package not in ALLOWED.get(folder, {package})
            or (at_module_level and package not in ALLOWED_AT_MODULE_LEVEL.get(folder, {package}))
        )
        if wrong or (folder == "search" and package == "ray" and str(where) not in RAY):
            found.append(f"{where}:{line}: {package}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_file_imports_only_what_its_room_may(path):
    assert trespasses(path) == []


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.is_relative_to(PROJECT / "search")],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_imports_of_search_run_one_way(path):
    assert against_the_stream(path) == []


def test_every_group_is_known_and_of_a_size_to_be_looked_through():
    folders = {path.name for path in (PROJECT / "search").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(GROUPS)
    sizes = {group: len(list((PROJECT / "search" / group).glob("[!_]*.py"))) for group in GROUPS}
    assert all(4 <= size <= 9 for size in sizes.values()), sizes


@pytest.mark.parametrize(
    ("group", "line", "caught"),
    [
        ("journal", "from search.study.asha import Asha", "study"),
        ("journal", "from search.study import asha", "study"),
        ("spec", "import search.cli.progress", "cli"),
        ("cli", "from search.launch import launch", "launch"),
        ("storage", "def f():\n    from search.spec.spec import Spec", "spec"),
        ("tracking", "def f():\n    return importlib.import_module('search.backends.cluster')", "backends"),
    ],
)
def test_an_import_against_the_stream_is_caught(tmp_path, group, line, caught):
    path = tmp_path / "search" / group / "made.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"{line}\nfrom search.errors import Problem\nfrom search.{group} import other\n")
    [found] = against_the_stream(path, tmp_path)
    assert found.endswith(f": {caught}")


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
        ("contract", "import numpy", "numpy"),
        ("contract", "def f():\n    import mlflow", "mlflow"),
        ("contract", "from search.spec import loader", "search"),
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
        ("contract", "import json\nfrom contract import record"),
    ],
)
def test_what_is_allowed_is_not_caught(tmp_path, folder, line):
    path = tmp_path / folder / "made.py"
    path.parent.mkdir()
    path.write_text(f"{line}\n")
    assert trespasses(path, tmp_path) == []


@pytest.mark.parametrize(
    ("where", "package"),
    [*((where, "ray") for where in sorted(RAY)), *((where, "analysis") for where in sorted(REPORTS))],
)
def test_only_the_files_that_run_ray_or_make_reports_may_import_it(tmp_path, where, package):
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(f"import {package}\n")
    assert trespasses(path, tmp_path) == []
    assert (PROJECT / where).exists()
