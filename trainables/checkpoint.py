"""A checkpoint's files: a checksum in each, and the generation before the last kept until training ends.

The content comes first and its SHA-256 behind it, so that `torch.load` reads the file as it is. This module is
free of torch: whoever only removes checkpoints need not load it.
"""

import contextlib
import hashlib
from pathlib import Path

DIGEST = hashlib.sha256().digest_size
"""Bytes."""


NEW = ".new"
"""Of the file that is being written."""


class DamagedCheckpoint(ValueError):
    """A file is not as it was written."""


def write(path: Path, content: bytes | memoryview) -> None:
    """Make `content` the newest generation; what was the newest is kept as the one before.

    It is written beside them and renamed: whenever this is cut off, one whole generation is there.

    Raises:
        OSError: it cannot be written (disk full, read-only, ...); the generations are as they were.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = _new(path)
    try:
        with open(new, "wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())
        if path.exists():
            path.replace(_before(path))
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # of a read-only folder, which holds nothing new
            new.unlink(missing_ok=True)
        raise


def read(path: Path) -> bytes:
    """The content of one file.

    Raises:
        DamagedCheckpoint: it does not fit its checksum.
        FileNotFoundError: there is no such file.
    """
    whole = path.read_bytes()
    content, digest = whole[:-DIGEST], whole[-DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise DamagedCheckpoint(f"{path} is damaged")
    return content


def generations(path: Path) -> list[Path]:
    """The files that there are of a checkpoint, the newest first."""
    return [file for file in (path, _before(path)) if file.exists()]


def keep_newest(path: Path) -> None:
    """Remove all but the newest generation."""
    _before(path).unlink(missing_ok=True)
    _new(path).unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove all that there is of a checkpoint."""
    keep_newest(path)
    path.unlink(missing_ok=True)


def is_being_written(file: Path) -> bool:
    """Whether a file is no generation yet."""
    return file.suffix == NEW


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}{NEW}")
