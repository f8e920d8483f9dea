"""Where a search keeps what must still be there tomorrow: its results, its data and MLflow's record."""

import os
from pathlib import Path

HOME = "search"
"""Folder in the user's home."""
SQLITE = "sqlite:///"
DATABASE = "mlflow.db"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
DATA_VARIABLE = "SEARCH_DATA_DIR"
"""Environment variable: the folder of all data sets."""


def in_job() -> bool:
    """Whether this process is the driver of a Ray job, in the copy of the folder that was submitted."""
    return "runtime_resources" in Path.cwd().parts


def lasting(name: str) -> Path:
    """`name` in this folder; in a Ray job in ~/search, for a job's folder is a copy that Ray removes."""
    return Path.home() / HOME / name if in_job() else Path(name)


def data_dir() -> Path:
    """The folder of all data sets where no other is named: SEARCH_DATA_DIR, else `data`."""
    return Path(os.environ.get(DATA_VARIABLE) or lasting("data"))


def resolve_uri(uri: str | None) -> str:
    """The address of MLflow's record: `uri`, else MLFLOW_TRACKING_URI, else a database; file paths are absolute."""
    found = uri or os.environ.get(TRACKING_VARIABLE) or f"{SQLITE}{lasting(DATABASE)}"
    return f"{SQLITE}{Path(found.removeprefix(SQLITE)).absolute()}" if found.startswith(SQLITE) else found


def is_server(uri: str) -> bool:
    """Whether an address of MLflow's record is that of a server, which may come back when it is away."""
    return uri.startswith(("http://", "https://"))
