"""Where things are kept that must be there tomorrow."""

from pathlib import Path

HOME = "search"
"""Folder in the user's home."""


def lasting(name: str) -> Path:
    """`name` in this folder; in a Ray job in ~/search, for a job's folder is a copy that Ray removes."""
    return Path.home() / HOME / name if "runtime_resources" in Path.cwd().parts else Path(name)
