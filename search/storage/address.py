"""Where searches are kept: a folder that all machines share, or an object store, as its address says."""

import os
from pathlib import Path

VARIABLE = "SEARCH_STORAGE"
"""Environment variable: where specs without `storage` keep their searches."""
SCHEMES = ("s3", "gs", "gcs")
"""Those of object stores that pyarrow can reach."""


def resolve(storage: str | None) -> str | None:
    """The spec's `storage`, else SEARCH_STORAGE; None where searches stay on this machine's own disk."""
    return storage or os.environ.get(VARIABLE) or None


def problem(storage: str) -> str | None:
    """What is wrong with an address, None if nothing is."""
    scheme, separator, rest = storage.partition("://")
    if not separator:
        return None
    if scheme not in (*SCHEMES, "file"):
        listed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        return f"{scheme}:// is not known: name a folder that all machines share, or an address with {listed}"
    return None if rest.strip("/") else "names no bucket: write s3://BUCKET/FOLDER"


def is_object_store(storage: str) -> bool:
    """Whether an address names an object store rather than a folder of the file system."""
    return storage.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def folder(storage: str) -> Path:
    """The path of a storage that is a folder."""
    return Path(storage.removeprefix("file://"))
