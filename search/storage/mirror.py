"""A search's state in an object store: its journal at most a second behind, so that another machine can continue.

Object stores cannot append, so the journal is there in parts, `journal/<offset>.jsonl`; the last is replaced as it
grows. The study follows from the journal, so it is not copied. `driver.json` says who writes: a lock on this machine's
disk keeps nobody on another one out.
"""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from search.storage.layout import JOURNAL_PARTS, LEASE, Layout, journal_part
from search.storage.storage import Storage

COPY_INTERVAL_S = 1.0
"""Seconds between two copies."""
PART_BYTES = 256 * 1024
"""Size of a part, after which the journal continues in a new one."""
LEASE_INTERVAL_S = 5.0
"""Seconds between two signs of life of a driver."""


class Mirror:
    """Copies a folder's journal, in a thread, until it is closed."""

    def __init__(self, folder: Path, storage: Storage):
        """Begin where the storage stands: what it has is the beginning of this journal (see `pull`).

        Args:
            folder: the search's folder on this machine.
            storage: the search's folder in the object store.
        """
        self.storage = storage
        self.error: str | None = None
        """Why the last attempt to copy failed; None when it succeeded."""
        self._journal = Layout(folder).journal
        parts = sorted(storage.sizes(JOURNAL_PARTS))
        self._part = int(Path(parts[-1]).stem) if parts else 0
        self._copied = -1
        self._removals: list[str] = []
        self._lock = threading.Lock()
        self._signed = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        return str(self.storage)

    def remove_later(self, name: str) -> None:
        """Remove a file from the store once the journal that says why is there.

        Until then, a search that is resumed elsewhere would miss it.
        """
        with self._lock:
            self._removals.append(name)

    def sizes(self, folder: str) -> dict[str, int]:
        """The size in bytes of each file in a folder, without those that are about to be removed."""
        with self._lock:
            removals = set(self._removals)
        return {name: size for name, size in self.storage.sizes(folder).items() if f"{folder}/{name}" not in removals}

    def close(self, patience_s: float = 30.0) -> bool:
        """Copy what is left, and stop copying.

        Args:
            patience_s: seconds to keep trying.

        Returns:
            Whether all was copied.
        """
        deadline = time.monotonic() + patience_s
        self._closing.set()
        self._thread.join()
        while not self._copy():
            if time.monotonic() > deadline:
                return False
            time.sleep(COPY_INTERVAL_S)
        with contextlib.suppress(OSError):  # without it others take this driver for dead as well, only later
            self.storage.remove(LEASE)
        return True

    def _work(self) -> None:
        while not self._closing.wait(COPY_INTERVAL_S):
            self._copy()

    def _copy(self) -> bool:
        try:
            if time.monotonic() - self._signed > LEASE_INTERVAL_S:
                self.storage.write(LEASE, json.dumps({**_driver(), "time": time.time()}).encode())
                self._signed = time.monotonic()
            with self._lock:
                removals, self._removals = self._removals, []
            try:
                self._copy_journal()
                while removals:
                    self.storage.remove(removals[-1])
                    removals.pop()
            finally:
                with self._lock:
                    self._removals = removals + self._removals
            self.error = None
        except OSError as error:
            self.error = str(error)
            return False
        return True

    def _copy_journal(self) -> None:
        size = self._journal.stat().st_size
        if size == self._copied:
            return
        with open(self._journal, "rb") as file:
            file.seek(self._part)
            content = file.read(size - self._part)
        content = content[: content.rfind(b"\n") + 1]
        if content:
            self.storage.write(journal_part(self._part), content)
        self._copied = self._part + len(content)
        if len(content) >= PART_BYTES:
            self._part = self._copied


def pull(storage: Storage, folder: Path) -> None:
    """Bring a folder up to date with the storage: another machine may have continued the search.

    A journal here that goes beyond the storage's is kept, for it lacks nothing; any other is replaced.

    Raises:
        OSError: the storage cannot be read.
    """
    journal = Layout(folder).journal
    there = b"".join(storage.read(f"{JOURNAL_PARTS}/{part}") for part in sorted(storage.sizes(JOURNAL_PARTS)))
    here = journal.read_bytes() if journal.exists() else b""
    folder.mkdir(parents=True, exist_ok=True)
    for name in storage.sizes():
        if "/" not in name and name != LEASE:
            storage.fetch(name, folder / name)
    if not here.startswith(there):
        journal.write_bytes(there)


def other_driver(storage: Storage) -> str | None:
    """The driver that writes to the search at this moment: one that gave a sign of life while this function waited.

    Returns:
        Its process and host, in words; None if there is none on another machine.
    """
    before = _lease(storage)
    if before is None or before["host"] == socket.gethostname():
        return None  # on this machine the journal's lock says who has it
    deadline = time.monotonic() + 3 * LEASE_INTERVAL_S
    while time.monotonic() < deadline:
        time.sleep(1)
        if (now := _lease(storage)) is None:
            return None
        if now != before:
            return f"process {now['pid']} on {now['host']}"
    return None


def _lease(storage: Storage) -> dict[str, Any] | None:
    try:
        lease: dict[str, Any] = json.loads(storage.read(LEASE))
    except FileNotFoundError:
        return None
    return lease


def _driver() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid()}
