"""Files that must outlive a machine: in a folder that all machines share, or in an object store."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs

from contract.files import atomic_write, is_being_written


def check(storage: str) -> None:
    """Make sure that files can be written there and read.

    Raises:
        OSError: they cannot.
    """
    place, name = Storage(storage), f"_check-{socket.gethostname()}-{os.getpid()}"
    place.write(name, name.encode())
    try:
        if place.read(name) != name.encode():
            raise OSError("what was written there was not what was read")
    finally:
        place.remove(name)


class Storage:
    """A folder of files by name; names have `/` between their parts."""

    def __init__(self, address: str, *parts: str):
        """Args: address: a path, or as pyarrow takes it (`s3://bucket/folder?region=...`); parts: of it, a folder.

        Raises:
            OSError: it cannot be reached.
        """
        self.address, self._parts = address, parts
        try:
            self._fs, root = fs.FileSystem.from_uri(address if "://" in address else Path(address).absolute().as_uri())
        except ValueError as error:  # of the address's form
            raise OSError(str(error)) from error
        self._root = "/".join([root.rstrip("/"), *parts])

    def __str__(self) -> str:
        base, question, _ = self.address.partition("?")
        return "/".join([base.rstrip("/"), *self._parts])

    def under(self, *parts: str) -> "Storage":
        """A folder in it."""
        return Storage(self.address, *self._parts, *parts)

    def full_name(self, name: str) -> str:
        """A file's name from the root of the storage."""
        return "/".join([*self._parts, name])

    def read(self, name: str) -> bytes:
        """One file.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be had.
        """
        with self._fs.open_input_stream(self._path(name)) as stream:
            return stream.readall()

    def write(self, name: str, content: bytes) -> None:
        """Make or replace one file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with self._whole(name) as path, self._fs.open_output_stream(path) as stream:
            stream.write(content)

    def put(self, source: Path, name: str) -> None:
        """Copy a file of this machine here."""
        with self._whole(name) as path:
            fs.copy_files(str(source), path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self._fs)

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a file from here to this machine; whether there was one."""
        if self._fs.get_file_info(self._path(name)).type == fs.FileType.NotFound:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        fs.copy_files(
            self._path(name), str(target), source_filesystem=self._fs, destination_filesystem=fs.LocalFileSystem()
        )
        return True

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        if self._fs.get_file_info(self._path(name)).type != fs.FileType.NotFound:
            self._fs.delete_file(self._path(name))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Bytes of each file in a folder and below, by its name within that."""
        where = self._path(folder) if folder else self._root
        selector = fs.FileSelector(where, recursive=True, allow_not_found=True)
        return {
            os.path.relpath(info.path, where): info.size
            for info in self._fs.get_file_info(selector)
            if info.type == fs.FileType.File and not is_being_written(Path(info.path))
        }

    def folders(self) -> list[str]:
        """Names of the folders in it, in order."""
        selector = fs.FileSelector(self._root, allow_not_found=True)
        return sorted(i.base_name for i in self._fs.get_file_info(selector) if i.type == fs.FileType.Directory)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[str]:
        """Where to write a file that appears when it is complete, as objects do by themselves."""
        path = self._path(name)
        if not isinstance(self._fs, fs.LocalFileSystem):
            yield path
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(Path(path)) as new:
            yield str(new)
