"""A checkpoint's files: a checksum in each, and the generation before the newest kept until training ends.

The content comes first and its SHA-256 behind it, so that `torch.load` reads the file as it is. This module is
free of torch: whoever only removes checkpoints need not load it.
"""

import hashlib
from pathlib import Path

from contract.files import atomic_write, remove_unfinished

DIGEST_BYTES = hashlib.sha256().digest_size
"""Bytes of the checksum at the end of a file."""


class DamagedCheckpoint(ValueError):
    """A checkpoint's file is not as it was written."""


def write(path: Path, content: bytes | memoryview) -> None:
    """Make `content` the newest generation, and keep the one that was the newest as the one before.

    The content is written to another file, which is then renamed: whenever this is cut off, one whole generation is
    there.

    Raises:
        OSError: the file cannot be written (disk full, read-only, ...); the generations are as they were.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as new:
        with open(new, "wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())
        if path.exists():
            path.replace(_before(path))


def read(path: Path) -> bytes:
    """Read the content of one file.

    Raises:
        DamagedCheckpoint: the content does not fit its checksum.
        FileNotFoundError: there is no such file.
    """
    whole = path.read_bytes()
    content, digest = whole[:-DIGEST_BYTES], whole[-DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise DamagedCheckpoint(f"{path} is damaged")
    return content


def generations(path: Path) -> list[Path]:
    """List the files that a checkpoint has, the newest first."""
    return [file for file in (path, _before(path)) if file.exists()]


def keep_newest(path: Path) -> None:
    """Remove all but the newest generation."""
    _before(path).unlink(missing_ok=True)
    remove_unfinished(path)


def remove(path: Path) -> None:
    """Remove all files of a checkpoint."""
    keep_newest(path)
    path.unlink(missing_ok=True)


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")
