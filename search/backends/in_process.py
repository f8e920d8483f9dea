"""The backend without Ray: trials one after the other in this process, for debugging and for tests."""

from collections.abc import Callable
from typing import Self

from search.errors import Problem, UserError
from search.orchestration.phases import Phases
from search.orchestration.slots import Share, Slots
from search.spec.spec import Spec
from search.trial.runner import TrialRun


class InProcessBackend:
    """Runs one trial at a time in this process."""

    joined = False

    def __init__(self, spec: Spec, check: Callable[[], list[Problem]]):
        """Nothing is taken before the context is entered.

        Args:
            spec: the search.
            check: looks for what else may be wrong.
        """
        self._spec, self._check = spec, check

    def __enter__(self) -> Self:
        """Decide on the device.

        Raises:
            UserError: what `check` has found.
        """
        if problems := self._check():
            raise UserError(problems, self._spec.source, self._spec.lines)
        self.slots = Slots.alone(self._spec.models, Share(self._gpus(), self._spec.resources.cpu))
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was taken."""

    def describe(self) -> str:
        """The device, for people."""
        return f"one trial at a time in this process, on the {self.slots.devices}"

    def run(
        self,
        phases: Phases,
        interrupted: Callable[[], bool],
        warn: Callable[[str], None],  # noqa: ARG002 (of the protocol)
    ) -> None:
        """Run all trials, until an interrupt."""
        while not interrupted() and (task := phases.next()) is not None:
            trial = TrialRun(task)
            while not interrupted() and phases.report(task.id, trial.step()):
                pass

    def _gpus(self) -> float:
        """The GPU, if this process has one and the spec does not say otherwise."""
        if self._spec.resources.gpu == 0:
            return 0.0
        import torch

        return float(torch.cuda.is_available())
