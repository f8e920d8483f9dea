"""A worker's side of the backend on Ray: one trial after another in the same process.

It imports nothing but Ray. Tune takes a worker for started when this module is there, and gives up one that is still
starting when another becomes free: with torch imported here, which takes seconds, searches of short trials were
seen to continue with one worker instead of two.
"""

from typing import TYPE_CHECKING, Any

from ray import tune

if TYPE_CHECKING:
    from contract.steps import StepResult
    from search.trial.task import Task

TASK, RESULT = "task", "step_result"
"""The one key of a trial's config in Tune, which holds a `Task`, and of its results, which holds a `StepResult`."""


def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune asks of the cluster for a trial. Here, for Tune has every worker import what it is defined with."""
    task: Task = config[TASK]
    return tune.PlacementGroupFactory([{"CPU": task.threads, "GPU": task.gpu}])


class TuneTrial(tune.Trainable):
    """Takes a task, trains an epoch a step."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the task; Tune may build a second worker for a trial and discard it, so nothing starts here."""
        self._task: Task = config[TASK]
        self._run: Any = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's task."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, "StepResult"]:
        """Train an epoch."""
        from search.trial.runner import TrialRun

        self._run = self._run or TrialRun(self._task)
        return {RESULT: self._run.step()}
