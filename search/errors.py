"""Mistakes that a user can make, collected and reported at once."""

from dataclasses import dataclass
from pathlib import Path

from contract.redaction import redact

MAX_MESSAGE_LENGTH = 3000
"""Characters of a message, which quotes the wrong value, however long that is."""


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what is wrong, and what to do."""

    key: str
    """Dotted path of the key in the spec, or the command-line option; empty where it is the whole file."""
    text: str


class UserError(Exception):
    """Mistakes that keep a search from starting. The command line prints them and exits with 2."""

    def __init__(self, problems: list[Problem], source: Path | str = "", lines: dict[str, int] | None = None):
        """Sort the problems by their lines.

        Args:
            problems: what is wrong.
            source: the file that the keys belong to.
            lines: the line of each key in the file, counted from 1.
        """
        self.source = source
        self.lines = lines or {}
        self.problems = sorted(problems, key=lambda p: self._line(p.key) or 0)
        super().__init__("\n".join(self.messages()))

    def messages(self) -> list[str]:
        """One line for each mistake: `file:line: key: what is wrong`, without secrets."""
        lines = (": ".join(part for part in (self._where(p.key), p.key, p.text) if part) for p in self.problems)
        return [one_line(redact(line)) for line in lines]

    def _line(self, key: str) -> int | None:
        """The line of a key, or of the nearest one around it that is in the file."""
        return next((self.lines[k] for k in _itself_and_parents(key) if k in self.lines), None)

    def _where(self, key: str) -> str:
        line = self._line(key)
        return f"{self.source}:{line}" if line else str(self.source)


def one_line(text: str) -> str:
    """A text as one line that a terminal can show: invisible characters are escaped, and a long text is cut."""
    visible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:MAX_MESSAGE_LENGTH])
    is_whole = len(visible) <= MAX_MESSAGE_LENGTH and len(text) <= MAX_MESSAGE_LENGTH
    return visible if is_whole else f"{visible[:MAX_MESSAGE_LENGTH]} ..."


def _itself_and_parents(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
