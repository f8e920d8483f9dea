"""Where the project's own code is: in a checkout, or installed as a package; and which version of it this is."""

import importlib.metadata
import tomllib
from pathlib import Path
from typing import Any

DISTRIBUTION = "hyperparameter-search"
"""The project's name in pyproject.toml, which is also what pip calls it."""
FOLDER = Path(__file__).resolve().parents[1]
"""The folder of the project's packages: a checkout, or `site-packages`."""


def checkout() -> Path | None:
    """The folder of the project's checkout; None where its packages are installed without one."""
    return FOLDER if _project(FOLDER) else None


def version() -> str:
    """The project's version: that of the checkout, else the installed one; `unknown` where it was merely copied."""
    if project := _project(FOLDER):
        return str(project["version"])
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _project(folder: Path) -> dict[str, Any]:
    """What the folder's pyproject.toml says of this project; nothing where it is missing, or that of another one.

    Some packages install a pyproject.toml of their own into `site-packages`.
    """
    try:
        content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    project: dict[str, Any] = content.get("project", {})
    return project if project.get("name") == DISTRIBUTION else {}
