"""The backend on Ray: starts it on this machine or joins a cluster, plans what trials get, and survives Ray's death."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from contract.formatting import first_line
from contract.locations import resolve_uri
from search.errors import Problem, UserError
from search.orchestration.phases import Phases
from search.orchestration.slots import plan
from search.preflight import shared_storage
from search.spec.spec import Spec
from search.trial.data_source import DataSource

FROM_OUTSIDE = (
    "submit the search as a job (ray job submit), or run it on a machine that has joined the cluster "
    "(ray start --address=HOST:6379 --num-cpus=0)"
)


class ClusterLost(RuntimeError):
    """Ray died too often."""


class RayBackend:
    """Runs trials in workers of Ray. Ray is imported when the context is entered, for it takes seconds."""

    joined = False

    def __init__(
        self,
        spec: Spec,
        source: DataSource,
        storage: str | None,
        address: str | None,
        check: Callable[[], list[Problem]],
    ):
        """Nothing is started before the context is entered.

        Args:
            spec: the search.
            source: its data set.
            storage: where the search's state goes, None for a folder of this machine alone.
            address: of the cluster to join, None for RAY_ADDRESS or this machine alone.
            check: what else may be wrong, looked for while Ray starts: its processes take seconds to be there.
        """
        self._spec, self._source, self._storage, self._address = spec, source, storage, address
        self._check = check

    def __enter__(self) -> Self:
        """Start Ray or join the cluster, and plan what trials get.

        Raises:
            UserError: Ray does not start or answer, `check` has found something, there are not the resources, or not
                what all machines need.
        """
        if self._address and "://" in self._address:
            raise UserError([Problem("--address", f"{self._address} is for Ray's client: {FROM_OUTSIDE}")])
        from search.backends import cluster

        # Ray on this thread: its processes end with the thread that started them.
        with ThreadPoolExecutor(1) as beside:
            checked = beside.submit(self._check)
            try:
                cluster.connect(self._address)
            except Exception as error:  # Ray raises a bare one when its processes do not start in time
                raise UserError([*checked.result(), _not_connected(self._address, first_line(error))]) from error
        try:
            self._refuse(checked.result())
            self._plan()
        except BaseException:
            cluster.disconnect()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """End the Ray that was started, or leave the cluster."""
        from search.backends import cluster

        cluster.disconnect()

    def describe(self) -> str:
        """The resources asked for and had, for people."""
        return self.slots.describe()

    def run(self, phases: Phases, interrupted: Callable[[], bool], warn: Callable[[str], None]) -> None:
        """Run all trials, until an interrupt. Ray is started again if it dies: trials continue from their last epoch.

        Raises:
            ClusterLost: it died more often than a trial's worker may, without an epoch in between.
        """
        from search.backends import cluster, ray_tune
        from search.backends.node_monitor import NodeMonitor

        deaths = 0
        while True:
            epochs = phases.epochs_reported
            ray_tune.run(phases, NodeMonitor(self.slots, phases, warn), interrupted)
            if interrupted() or not cluster.has_died():
                return
            deaths = 1 if phases.epochs_reported > epochs else deaths + 1
            if deaths > self._spec.resources.retries:
                raise ClusterLost(f"Ray died on this machine {deaths} times before a trial had ended an epoch")
            warn("Ray died on this machine, and is started again: trials continue from their last epoch.")
            cluster.disconnect()
            cluster.connect(self._address)
            self.slots.nodes = cluster.nodes()
            phases.restart()

    def _refuse(self, problems: list[Problem]) -> None:
        if problems:
            raise UserError(problems, self._spec.source, self._spec.lines)

    def _plan(self) -> None:
        """Decide what trials get of the cluster.

        Raises:
            UserError: there are not the resources, or not what all its machines need.
        """
        from search.backends import cluster

        nodes, self.joined = cluster.nodes(), not cluster.is_own()
        self.slots, problems = plan(
            self._spec,
            nodes,
            lambda: cluster.measure_gpu_share(self._spec, self._source),
            coming=cluster.autoscalable_nodes() if self.joined else (),
            joined=self.joined,
        )
        uri = resolve_uri(self._spec.tracking.uri)
        self._refuse([*problems, *shared_storage.problems(nodes, self._storage, uri, cluster.unreachable_storage)])


def _not_connected(address: str | None, reason: str) -> Problem:
    if address and address != "local":
        return Problem("--address", f"no Ray cluster answers there: {reason}")
    remedy = "is the machine too busy, or out of memory? Try again later, or without Ray: --in-process"
    return Problem("", f"Ray did not start on this machine ({reason}): {remedy}")
