"""How far a journal was sent: `tracking.json` beside it. Sending again does no harm, so in doubt it is not believed."""

import hashlib
import json
from pathlib import Path

LONGEST_LINE = 1 << 16
"""Bytes before the offset in which the last line that was sent is looked for."""


class TrackingState:
    """The offset up to which a server has a journal, kept over launches."""

    def __init__(self, journal: Path, server: str):
        """Read it; 0 where there is none, or it is damaged, of another journal, or of another server."""
        self._journal, self._server = journal, server
        self._file = journal.with_name("tracking.json")
        self.offset = 0
        try:
            noted = json.loads(self._file.read_bytes())
            offset = noted["offset"]
            if noted == self._note(offset):
                self.offset = offset
        except (OSError, ValueError, TypeError, KeyError):
            pass

    def save(self, offset: int) -> None:
        """Note that everything before this offset was sent."""
        self.offset = offset
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._note(offset)))
        temporary.replace(self._file)

    def _note(self, offset: int) -> dict[str, object]:
        """The offset, the server, and a digest of the line before the offset: every line has its own time."""
        with open(self._journal, "rb") as file:
            file.seek(max(0, offset - LONGEST_LINE))
            before = file.read(min(offset, LONGEST_LINE))
        line = before[:-1].rpartition(b"\n")[2] + before[-1:]
        return {"offset": offset, "line": hashlib.blake2b(line, digest_size=8).hexdigest(), "server": self._server}
