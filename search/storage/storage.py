"""Files that must outlive a machine: in a folder that all machines share, or in an object store."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs

from contract.files import atomic_write, is_being_written


def check(storage: str) -> None:
    """Make sure that files can be written to a storage and read back.

    Raises:
        OSError: they cannot.
    """
    place, name = Storage(storage), f"_check-{socket.gethostname()}-{os.getpid()}"
    place.write(name, name.encode())
    try:
        if place.read(name) != name.encode():
            raise OSError("it did not give back what was written to it")
    finally:
        place.remove(name)


class Storage:
    """A folder of files by name; names have `/` between their parts."""

    def __init__(self, address: str, *parts: str):
        """Connect to the storage.

        Args:
            address: a path, or an address that pyarrow takes, such as `s3://bucket/folder?region=...`.
            parts: names of the folders that lead from the address to this one.

        Raises:
            OSError: it cannot be reached.
        """
        self.address, self._parts = address, parts
        try:
            self._fs, root = fs.FileSystem.from_uri(address if "://" in address else Path(address).absolute().as_uri())
        except ValueError as error:  # the address has no form that pyarrow knows
            raise OSError(str(error)) from error
        self._root = "/".join([root.rstrip("/"), *parts])

    def __str__(self) -> str:
        base, _, _ = self.address.partition("?")
        return "/".join([base.rstrip("/"), *self._parts])

    def under(self, *parts: str) -> "Storage":
        """A folder within this one, as a storage of its own."""
        return Storage(self.address, *self._parts, *parts)

    def full_name(self, name: str) -> str:
        """A file's name from the root of the storage."""
        return "/".join([*self._parts, name])

    def read(self, name: str) -> bytes:
        """Read one file.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
        """
        with self._fs.open_input_stream(self._path(name)) as stream:
            return bytes(stream.readall())

    def write(self, name: str, content: bytes) -> None:
        """Create or replace one file, as a whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with self._whole(name) as path, self._fs.open_output_stream(path) as stream:
            stream.write(content)

    def put(self, source: Path, name: str) -> None:
        """Copy a file of this machine to the storage.

        Raises:
            OSError: it cannot be copied.
        """
        with self._whole(name) as path:
            fs.copy_files(str(source), path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self._fs)

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a file from the storage to this machine.

        Returns:
            Whether there was such a file.
        """
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
        """The size in bytes of each file in a folder and below, by its name within that folder.

        Files that are still being written are left out.
        """
        where = self._path(folder) if folder else self._root
        selector = fs.FileSelector(where, recursive=True, allow_not_found=True)
        return {
            os.path.relpath(info.path, where): info.size
            for info in self._fs.get_file_info(selector)
            if info.type == fs.FileType.File and not is_being_written(Path(info.path))
        }

    def folders(self) -> list[str]:
        """The names of the folders in this one, sorted."""
        selector = fs.FileSelector(self._root, allow_not_found=True)
        return sorted(i.base_name for i in self._fs.get_file_info(selector) if i.type == fs.FileType.Directory)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[str]:
        """A path to write to, of a file that appears under its name once it is complete.

        Objects of a store do that by themselves; on a disk the file is renamed.
        """
        path = self._path(name)
        if not isinstance(self._fs, fs.LocalFileSystem):
            yield path
            return
        self._fs.create_dir(path.rpartition("/")[0])
        with atomic_write(Path(path)) as new:
            yield str(new)
