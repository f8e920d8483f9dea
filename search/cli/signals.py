"""Ctrl-C and SIGTERM: the first ends a search cleanly, the second at once."""

import signal
from types import FrameType, TracebackType


class Interrupts:
    """Context in which the first SIGINT or SIGTERM sets a flag; what the next one does is the system's affair."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
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
