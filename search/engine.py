"""What runs the trials: Ray, or this process. The rest of the launch need not know which."""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from search import in_process, shared
from search.dataset import DataSource
from search.errors import Problem, UserError
from search.phases import Phases
from search.slots import plan
from search.spec import Spec
from search.tracking_server import resolve_uri
from trainables.errors import first_line

FROM_OUTSIDE = (
    "submit the search as a job (ray job submit), or run it on a machine that has joined the cluster "
    "(ray start --address=HOST:6379 --num-cpus=0)"
)


class ClusterLost(RuntimeError):
    """Ray died too often."""


class Engine:
    """What runs sessions: Ray, or this process. A context, for Ray is started and ended."""

    def __init__(
        self, spec: Spec, source: DataSource, storage: str | None, options: argparse.Namespace,
        check: Callable[[], list[Problem]],
    ):  # fmt: skip
        """Args:
        storage: where the search's state goes, None for a folder of this machine alone.
        check: what else may be wrong, looked for while Ray starts: its processes take seconds to be there.
        """
        self.spec, self.source, self.storage, self.check = spec, source, storage, check
        self.in_process, self.address = options.in_process, options.address
        self.joined = False
        """Whether the cluster was there before: trials may run where this machine's files are not."""

    def __enter__(self) -> "Engine":
        if self.in_process:
            self._refuse(self.check())
            self.slots = in_process.slots(self.spec)
            return self
        if self.address and "://" in self.address:
            raise UserError([Problem("--address", f"{self.address} is for Ray's client: {FROM_OUTSIDE}")])
        from search import cluster

        # Ray on this thread: its processes end with the thread that started them.
        with ThreadPoolExecutor(1) as beside:
            checked = beside.submit(self.check)
            try:
                cluster.connect(self.address)
            except Exception as error:  # Ray raises a bare one when its processes do not start in time
                raise UserError([*checked.result(), _not_connected(self.address, first_line(error))]) from error
        try:
            self._refuse(checked.result())
            self._plan()
        except BaseException:
            cluster.disconnect()
            raise
        return self

    def _refuse(self, problems: list[Problem]) -> None:
        if problems:
            raise UserError(problems, self.spec.source, self.spec.lines)

    def _plan(self) -> None:
        """Who gets what of the cluster.

        Raises:
            UserError: there are not the resources, or not what all its machines need.
        """
        from search import cluster

        nodes, self.joined = cluster.nodes(), not cluster.is_own()
        self.slots, problems = plan(
            self.spec,
            nodes,
            lambda: cluster.measure_gpu_share(self.spec, self.source),
            coming=cluster.coming() if self.joined else (),
            joined=self.joined,
        )
        uri = resolve_uri(self.spec.tracking.uri)
        self._refuse([*problems, *shared.problems(nodes, self.storage, uri, cluster.out_of_reach)])

    def __exit__(self, *error: object) -> None:
        if not self.in_process:
            from search import cluster

            cluster.disconnect()

    def describe(self) -> str:
        """The resources asked for and had."""
        if self.in_process:
            return f"one trial at a time in this process, on the {self.slots.devices}"
        return self.slots.describe()

    def run(self, phases: Phases, interrupted: Callable[[], bool], warn: Callable[[str], None]) -> None:
        """Run all trials, until an interrupt. Ray is started again if it dies: trials go on from their last epoch.

        Raises:
            ClusterLost: it died more often than a trial's worker may, without an epoch in between.
        """
        if self.in_process:
            in_process.run(phases, interrupted)
            return
        from search import cluster, tuner
        from search.watch import Watch

        deaths = 0
        while True:
            heard = phases.heard
            tuner.run(phases, Watch(self.slots, phases, warn), interrupted)
            if interrupted() or not cluster.lost():
                return
            deaths = 1 if phases.heard > heard else deaths + 1
            if deaths > self.spec.resources.retries:
                raise ClusterLost(f"Ray died on this machine {deaths} times before a trial had ended an epoch")
            warn("Ray died on this machine, and is started again: trials go on from their last epoch.")
            cluster.disconnect()
            cluster.connect(self.address)
            self.slots.nodes = cluster.nodes()
            phases.restart()


def _not_connected(address: str | None, reason: str) -> Problem:
    if address and address != "local":
        return Problem("--address", f"no Ray cluster answers there: {reason}")
    remedy = "is the machine too busy, or out of memory? Try again later, or without Ray: --in-process"
    return Problem("", f"Ray did not start on this machine ({reason}): {remedy}")
