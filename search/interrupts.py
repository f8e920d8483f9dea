"""Ctrl-C and SIGTERM: the first ends a search cleanly, the second at once."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupts:
    """Context in which the first SIGINT or SIGTERM sets a flag and calls `on_first`; the next one is the system's."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, on_first: Callable[[], None] = lambda: None):
        self.on_first = on_first
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
        for signal_number in self.SIGNALS:
            signal.signal(signal_number, signal.SIG_DFL)
        self.on_first()
