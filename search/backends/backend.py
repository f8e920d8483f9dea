"""What runs trials, and how little the rest of a search must know of it."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from search.orchestration.phases import Phases
from search.orchestration.slots import Slots


class Backend(Protocol):
    """Runs the trials of a search, within a context in which it has its resources."""

    slots: Slots
    """What trials are given, and how many run at a time; there once the context is entered."""
    joined: bool
    """Whether the machines were there before: trials may run where this machine's files are not."""

    def __enter__(self) -> Self:
        """Take the resources.

        Raises:
            UserError: they are not there, or the search cannot run on them.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the resources back."""
        ...

    def describe(self) -> str:
        """The resources asked for and had, for people."""
        ...

    def run(self, phases: Phases, interrupted: Callable[[], bool], warn: Callable[[str], None]) -> None:
        """Run all trials, until an interrupt.

        Args:
            phases: give the trials, and take what their steps give.
            interrupted: whether to end now.
            warn: tells the person what has happened to the machines.
        """
        ...
