"""A checkpoint's files: a checksum in each, and the generation before the last kept until training ends.

The content comes first and its SHA-256 behind it, so that `torch.load` reads the file as it is. This module is
free of torch: whoever only removes checkpoints need not load it.
"""

import hashlib
from pathlib import Path

from contract.files import atomic_write, remove_unfinished

DIGEST = hashlib.sha256().digest_size
"""Bytes."""


class DamagedCheckpoint(ValueError):
    """A file is not as it was written."""


def write(path: Path, content: bytes | memoryview) -> None:
    """Make `content` the newest generation; what was the newest is kept as the one before.

    It is written beside them and renamed: whenever this is cut off, one whole generation is there.

    Raises:
        OSError: it cannot be written (disk full, read-only, ...); the generations are as they were.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as new:
        with open(new, "wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())
        if path.exists():
            path.replace(_before(path))


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
    remove_unfinished(path)


def remove(path: Path) -> None:
    """Remove all that there is of a checkpoint."""
    keep_newest(path)
    path.unlink(missing_ok=True)


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")
