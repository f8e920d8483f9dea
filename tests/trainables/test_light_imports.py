"""`trainables` stands alone: what reads a spec needs no torch, what trains needs nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FILES = sorted((PROJECT / "trainables").rglob("*.py"))
NOT_NEEDED = (
    "analysis",
    "mlflow",
    "optuna",
    "pandas",
    "pyarrow",
    "pydantic",
    "ray",
    "scipy",
    "search",
    "sklearn",
    "timm",
    "yaml",
)
MODULES = [
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    for path in FILES
    if path.stem != "__main__"
]
SCRIPT = f"""
import sys, importlib
import trainables.config
assert "torch" not in sys.modules and "numpy" not in sys.modules, "trainables.config loads them"
for name in {MODULES!r}:
    importlib.import_module(name)
loaded = [name for name in {NOT_NEEDED!r} if name in sys.modules]
assert not loaded, f"imported by trainables: {{loaded}}"
"""


@pytest.mark.process
def test_nothing_else_is_loaded():
    assert "trainables.datasets.cifar10" in MODULES
    assert "trainables.models.lenet" in MODULES
    assert "trainables.libraries.timm" in MODULES
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_module_imports_torch_numpy_and_the_standard_library_alone(path):
    imported = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            imported.add(node.module.split(".")[0])
    assert imported - sys.stdlib_module_names <= {"contract", "numpy", "torch", "torchvision", "trainables"}
