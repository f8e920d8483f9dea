"""The engine without Ray: trials one after the other in this process, for debugging and for tests."""

from collections.abc import Callable

from search.phases import Phases
from search.spec import Spec
from search.trial import TrialRun


def run(phases: Phases, interrupted: Callable[[], bool]) -> None:
    """Run all trials, until an interrupt."""
    while not interrupted() and (task := phases.next()) is not None:
        trial = TrialRun(task)
        while not interrupted() and phases.report(task.id, trial.step()):
            pass


def device(spec: Spec) -> str:
    """What this process can train on."""
    if spec.resources.gpu == 0:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
