"""A worker's side of the engine on Ray: one trial after another in the same process.

It imports nothing but Ray. Tune takes a worker for started when this module is there, and gives up one that is still
starting when another becomes free: with torch imported here, which takes seconds, searches of short trials were
seen to go on with one worker instead of two.
"""

from typing import Any

from ray import tune


def resources(task: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune asks of the cluster for a task. Here, for Tune has every worker import what it is defined with."""
    return tune.PlacementGroupFactory([{"CPU": task["threads"], "GPU": task["gpu"]}])


class TuneTrial(tune.Trainable):
    """Takes a task, trains an epoch a step."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the task; Tune may build a second worker for a trial and discard it, so nothing starts here."""
        self._task = config
        self._run: Any = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's task."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train an epoch."""
        from search.trial import Task, TrialRun

        self._run = self._run or TrialRun(Task(**self._task))
        return self._run.step()
