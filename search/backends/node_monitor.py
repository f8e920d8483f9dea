"""What happens to the cluster while a search runs: nodes that join or are lost, trials that no node has room for."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from search.backends import cluster
from search.orchestration.phases import Phases
from search.orchestration.slots import Share, Slots
from search.trial.task import Task

INTERVAL_S = 1.0
"""The time between two looks."""
START_PATIENCE_S = 10.0
"""The time that a trial may take to start before it is said what it waits for."""
REPEAT_S = 60.0
"""The time after which it is said again."""


class NodeMonitor:
    """Keeps the slots up to the nodes that there are, and tells the person and the phases of what changes."""

    def __init__(self, slots: Slots, phases: Phases, say: Callable[[str], None]):
        """Begin with the nodes of the slots.

        Args:
            slots: kept up to the nodes that there are.
            phases: told of nodes that are lost.
            say: tells the person.
        """
        self._slots, self._phases, self._say = slots, phases, say
        self._nodes = {node.id: node for node in slots.nodes}
        self._lost: set[str] = set()
        self._looked = self._said = 0.0
        self._unplaced: float | None = None
        """The time since when Ray finds no node for one of them."""
        self._since: dict[str, float] = {}
        """When a trial was first seen to wait, by trial."""

    @property
    def alike(self) -> bool:
        """Whether all trials are given the same."""
        return len(set(self._slots.shares.values())) == 1

    def due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() - self._looked >= INTERVAL_S

    def look(self, waiting: Sequence[Task]) -> None:
        """Take note of the nodes, and of the tasks that have not started."""
        self._looked = time.monotonic()
        there = {node.id: node for node in cluster.nodes() if node.id not in self._lost}
        for id in self._nodes.keys() - there.keys():
            self._lose(id)
        for id in there.keys() - self._nodes.keys():
            self._nodes[id] = there[id]
            self._slots.nodes = list(self._nodes.values())
            self._say(f"The node {there[id]} has joined: {self._slots.concurrent} trials at a time now.")
        self._wait(waiting)

    def is_lost(self, id: str | None) -> bool:
        """Whether a node is gone, or so nearly that Ray has not noticed."""
        if id is None or id in self._lost:
            return id is not None
        node = self._nodes.get(id)
        if node is None or (len(self._nodes) > 1 and not cluster.answers(node)):
            self._lose(id)
            return True
        return False

    @staticmethod
    def ray_died() -> bool:
        """Whether the Ray that this process started has died."""
        return cluster.has_died()

    def _lose(self, id: str) -> None:
        self._lost.add(id)
        node = self._nodes.pop(id, None)
        self._phases.on_node_lost(id)
        if node is not None:
            self._slots.nodes = list(self._nodes.values())
            left = f"{self._slots.concurrent} trials at a time now"
            self._say(f"The node {node} was lost: its trials continue elsewhere, {left}.")

    def _wait(self, waiting: Sequence[Task]) -> None:
        now = time.monotonic()
        self._since = {task.id: self._since.get(task.id, now) for task in waiting}
        late = [task for task in waiting if now - self._since[task.id] > START_PATIENCE_S]
        # Ray takes its time to place what fits, too.
        self._unplaced = (self._unplaced or now) if late and cluster.unplaced() else None
        if self._unplaced is None or now - self._unplaced < START_PATIENCE_S or now - self._said < REPEAT_S:
            return
        self._said = now
        shares = Counter(Share(task.gpu, task.threads) for task in late)
        wanted = ", ".join(f"{n} for {share}" for share, n in shares.items())
        free = cluster.free_resources()
        self._say(
            f"waiting for resources: {wanted}; free are {free['CPU']:g} CPUs and {free['GPU']:g} GPUs of "
            f"{self._slots.there()}"
        )
