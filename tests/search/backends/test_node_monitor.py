"""What is said of a cluster that changes, and what follows from it, with Ray's side made up."""

import pytest

from search.backends import cluster, node_monitor
from search.backends.node_monitor import NodeMonitor
from search.orchestration.slots import Node, Share, Slots
from search.trial.task import Task

A, B, C = (Node(name, f"10.0.0.{n}", 2, 0) for n, name in enumerate("abc", 1))


class Made:
    """A cluster, and what the monitor says and tells of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.nodes, self.dead, self.said, self.forgiven = [A, B], set(), [], []
        self.unplaced, self.now = 0, 1000.0
        monkeypatch.setattr(cluster, "nodes", lambda: list(self.nodes))
        monkeypatch.setattr(cluster, "answers", lambda node: node.id not in self.dead)
        monkeypatch.setattr(cluster, "unplaced", lambda: self.unplaced)
        monkeypatch.setattr(cluster, "free_resources", lambda: {"CPU": 0.0, "GPU": 0.5})
        monkeypatch.setattr(node_monitor.time, "monotonic", lambda: self.now)
        self.slots = Slots({"lenet": Share(0, 1)}, self.nodes, 100)
        self.monitor = NodeMonitor(self.slots, self, self.said.append)

    def on_node_lost(self, id: str) -> None:
        self.forgiven.append(id)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def test_a_node_that_joins_is_said_once_and_counted(made: Made):
    made.monitor.look([])
    assert made.said == []
    made.nodes.append(C)
    for _ in range(3):
        made.monitor.look([])
    assert made.said == ["The node 10.0.0.3 (2 CPUs, 0 GPUs) has joined: 6 trials at a time now."]
    assert made.slots.concurrent == 6


def test_a_node_that_ray_gives_up_is_said_once_and_its_deaths_forgiven(made: Made):
    made.nodes.remove(B)
    for _ in range(3):
        made.monitor.look([])
    assert made.said == [
        "The node 10.0.0.2 (2 CPUs, 0 GPUs) was lost: its trials continue elsewhere, 2 trials at a time now."
    ]
    assert made.forgiven == ["b"]
    assert made.monitor.is_lost("b")


def test_a_node_that_does_not_answer_is_lost_before_ray_knows(made: Made):
    made.dead.add("b")
    assert made.monitor.is_lost("b")
    assert not made.monitor.is_lost("a")
    made.monitor.look([])  # Ray has it still
    assert len(made.said) == 1
    assert made.slots.nodes == [A]


def test_of_an_unknown_place_nothing_is_said(made: Made):
    assert not made.monitor.is_lost(None)
    assert made.monitor.is_lost("one that was never seen alive")
    assert made.said == []


def test_the_only_node_is_not_asked(made: Made):
    made.nodes.remove(B)
    made.monitor.look([])
    made.dead.add("a")
    assert not made.monitor.is_lost("a"), "its raylet is watched by its process"


def test_trials_that_wait_for_others_are_said_with_what_is_free(made: Made):
    waiting = [Task(f"t{n}", {}, {}, "", threads=1, gpu=0.5) for n in range(3)]
    for _ in range(8):
        made.now += 2
        made.monitor.look(waiting)
    assert made.said == [], "they only take their time to start"
    made.unplaced = 3
    for _ in range(8):
        made.now += 2
        made.monitor.look(waiting)
    assert made.said == [
        "waiting for resources: 3 for 1 CPU and 0.5 GPU; free are 0 CPUs and 0.5 GPUs of 4 CPUs, 0 GPUs on 2 nodes"
    ]
    for _ in range(40):
        made.now += 2
        made.monitor.look(waiting)
    assert len(made.said) == 2, "once a minute"
    made.monitor.look([])
    made.now += 100
    made.monitor.look(waiting)
    assert len(made.said) == 2, "others wait now, and have only begun to"


def test_it_is_not_asked_all_the_time(made: Made):
    made.monitor.look([])
    assert not made.monitor.due()
    made.now += node_monitor.INTERVAL_S
    assert made.monitor.due()
