"""The engine without Ray: trials one after the other in this process, for debugging and for tests."""

from collections.abc import Callable

from search.phases import Phases
from search.slots import Share, Slots
from search.spec import Spec
from search.trial import TrialRun


def run(phases: Phases, interrupted: Callable[[], bool]) -> None:
    """Run all trials, until an interrupt."""
    while not interrupted() and (task := phases.next()) is not None:
        trial = TrialRun(task)
        while not interrupted() and phases.report(task.id, trial.step()):
            pass


def slots(spec: Spec) -> Slots:
    """One trial at a time, on the GPU if this process has one and the spec does not say otherwise."""
    if spec.resources.gpu == 0:
        return Slots.alone(spec.models, Share(0, spec.resources.cpu))
    import torch

    return Slots.alone(spec.models, Share(float(torch.cuda.is_available()), spec.resources.cpu))
