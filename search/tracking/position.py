"""How far a journal was sent: `tracking.json` beside it. Sending again does no harm, so in doubt it is not believed."""

import hashlib
import json
from pathlib import Path

from contract.files import atomic_write

MAX_LINE_BYTES = 1 << 16
"""Bytes before the offset in which the last line that was sent is looked for."""


class SentPosition:
    """The offset up to which a server has a journal, kept over launches."""

    def __init__(self, journal: Path, file: Path, server: str):
        """Read it; 0 where there is none, or it is damaged, of another journal, or of another server.

        Args:
            journal: the search's.
            file: where the position is kept.
            server: the address of MLflow's record.
        """
        self._journal, self._server, self._file = journal, server, file
        self.offset = 0
        try:
            noted = json.loads(self._file.read_bytes())
            offset = noted["offset"]
            if noted == self._note(offset):
                self.offset = offset
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            pass

    def save(self, offset: int) -> None:
        """Note that everything before this offset was sent."""
        self.offset = offset
        with atomic_write(self._file) as new:
            new.write_text(json.dumps(self._note(offset)))

    def _note(self, offset: int) -> dict[str, object]:
        """The offset, the server, and a digest of the line before the offset: every line has its own time."""
        with open(self._journal, "rb") as file:
            file.seek(max(0, offset - MAX_LINE_BYTES))
            before = file.read(min(offset, MAX_LINE_BYTES))
        line = before[:-1].rpartition(b"\n")[2] + before[-1:]
        return {"offset": offset, "line": hashlib.blake2b(line, digest_size=8).hexdigest(), "server": self._server}
