"""What runs the trials: Ray, or this process. The rest of the launch need not know which."""

import argparse
from collections.abc import Callable

from search import in_process
from search.dataset import DataSource
from search.errors import Problem, UserError
from search.phases import Phases
from search.spec import Spec
from trainables.errors import first_line


class ClusterLost(RuntimeError):
    """Ray died too often."""


class Engine:
    """What runs sessions: Ray, or this process. A context, for Ray is started and ended."""

    def __init__(self, spec: Spec, source: DataSource, options: argparse.Namespace):
        self.spec, self.source, self.in_process, self.address = spec, source, options.in_process, options.address

    def __enter__(self) -> "Engine":
        if self.in_process:
            self.concurrent, self.device = 1, in_process.device(self.spec)
            return self
        from search import cluster

        try:
            cluster.connect(self.address)
        except Exception as error:  # Ray raises a bare one when its processes do not start in time
            raise UserError([_not_connected(self.address, first_line(error))]) from error
        self.slots, problems = cluster.plan(
            self.spec, cluster.available(), lambda: cluster.measure_gpu_share(self.spec, self.source)
        )
        if problems:
            cluster.disconnect()
            raise UserError(problems, self.spec.source, self.spec.lines)
        self.concurrent, self.device = self.slots.concurrent, self.slots.device
        return self

    def __exit__(self, *error: object) -> None:
        if not self.in_process:
            from search import cluster

            cluster.disconnect()

    def describe(self) -> str:
        """The resources asked for and had."""
        if self.in_process:
            return f"one trial at a time in this process, on the {self.device}"
        from search import cluster

        return self.slots.describe(cluster.available())

    def run(self, phases: Phases, interrupted: Callable[[], bool], warn: Callable[[str], None]) -> None:
        """Run all trials, until an interrupt. Ray is started again if it dies: trials go on from their last epoch.

        Raises:
            ClusterLost: it died more often than a trial's worker may, without an epoch in between.
        """
        if self.in_process:
            in_process.run(phases, interrupted)
            return
        from search import cluster, tuner

        deaths = 0
        while True:
            heard = phases.heard
            tuner.run(
                phases,
                cpu=self.slots.cpu,
                gpu=self.slots.gpu,
                retries=self.spec.resources.retries,
                interrupted=interrupted,
                lost=cluster.lost,
            )
            if interrupted() or not cluster.lost():
                return
            deaths = 1 if phases.heard > heard else deaths + 1
            if deaths > self.spec.resources.retries:
                raise ClusterLost(f"Ray died on this machine {deaths} times before a trial had ended an epoch")
            warn("Ray died on this machine, and is started again: trials go on from their last epoch.")
            cluster.disconnect()
            cluster.connect(self.address)
            phases.restart()


def _not_connected(address: str | None, reason: str) -> Problem:
    if address and address != "local":
        return Problem("--address", f"no Ray cluster answers there: {reason}")
    remedy = "is the machine too busy, or out of memory? Try again later, or without Ray: --in-process"
    return Problem("", f"Ray did not start on this machine ({reason}): {remedy}")
