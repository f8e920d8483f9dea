"""Files that appear whole or not at all."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

NEW = ".new"
"""Suffix of a file that is being written."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path to write to, and rename what was written there to `path`: a reader never sees half a file.

    What an error leaves is removed, and `path` is as it was.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}{NEW}")
    try:
        yield new
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # of a read-only folder, which holds nothing new
            new.unlink(missing_ok=True)
        raise


def remove_unfinished(path: Path) -> None:
    """Remove what writers that were killed have left of a file."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*{NEW}"):
        left.unlink(missing_ok=True)


def is_being_written(path: Path) -> bool:
    """Whether a file is not whole yet."""
    return path.suffix == NEW
