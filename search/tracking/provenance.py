"""Where a result came from: code, machine, versions."""

import getpass
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from contract import record

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy")


def describe() -> dict[str, str]:
    """Tags of a run: git commit and whether it was changed, host, user, versions. MLflow's UI knows some by name."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return {
        record.COMMIT: git("rev-parse", "HEAD") or "none",
        record.DIRTY: record.boolean(bool(git("status", "--porcelain"))),
        record.HOST: platform.node(),
        record.USER: _user(),
        record.VERSIONS: ", ".join([f"python {platform.python_version()}", *versions]),
    }


def git(*arguments: str) -> str:
    """What git says of the project's checkout; empty outside of one."""
    try:
        project = Path(__file__).parent.parent
        return subprocess.run(
            ["git", *arguments], cwd=project, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
