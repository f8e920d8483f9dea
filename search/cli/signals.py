"""Ctrl-C and SIGTERM: the first ends a search cleanly, the second at once."""

import signal
from types import FrameType, TracebackType


class Interrupts:
    """A context in which the first SIGINT or SIGTERM sets a flag; a second one has the system's own effect."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        """Handle no signal before the context is entered."""
        self.raised = False

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.raised

    def __enter__(self) -> "Interrupts":
        self._before = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.raised = True
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
