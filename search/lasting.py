"""Where things are kept that must be there tomorrow."""

from pathlib import Path

HOME = "search"
"""Folder in the user's home."""


def in_job() -> bool:
    """Whether this process is the driver of a Ray job, in the copy of the folder that was submitted."""
    return "runtime_resources" in Path.cwd().parts


def lasting(name: str) -> Path:
    """`name` in this folder; in a Ray job in ~/search, for a job's folder is a copy that Ray removes."""
    return Path.home() / HOME / name if in_job() else Path(name)
