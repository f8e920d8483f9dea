"""Where a result came from: code, machine, versions."""

import getpass
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from contract import record
from contract.installation import DISTRIBUTION, checkout, version

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy")


def describe() -> dict[str, str]:
    """Tags of a run: git commit and whether it was changed, host, user, versions. MLflow's UI knows some by name."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    found = commit()
    return {
        record.COMMIT: found or "none",
        record.DIRTY: record.boolean(bool(found and _git("status", "--porcelain"))),
        record.HOST: platform.node(),
        record.USER: _user(),
        record.VERSIONS: ", ".join([f"{DISTRIBUTION} {version()}", f"python {platform.python_version()}", *versions]),
    }


def commit() -> str:
    """The git commit of the project's checkout; empty where there is none.

    The project may be installed, or lie, inside of somebody else's repository: its commit says nothing of this code.
    """
    top, _, found = _git("rev-parse", "--show-toplevel", "HEAD").partition("\n")
    return found if top and Path(top).resolve() == checkout() else ""


def _git(*arguments: str) -> str:
    """What git says in the project's checkout; empty where that is none, or git has no answer."""
    folder = checkout()
    if folder is None:
        return ""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
