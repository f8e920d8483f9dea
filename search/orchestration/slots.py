"""Which trials fit on the machines at the same time: arithmetic over what each is given and what each node has."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.errors import Problem
from search.spec.spec import Spec

MAX_GPU_SHARE = 0.9
"""Part of a GPU's memory that packed trials may fill."""
MAX_TRIALS_A_GPU = 8
"""More trials on one GPU only wait for each other."""
EMULATED = "SEARCH_EMULATED_GPUS"
"""Environment variable: the cluster's GPUs are only counted, not there. Trials that are given one train on the CPU."""


@dataclass(frozen=True, order=True)
class Share:
    """What one trial is given."""

    gpu: float
    cpu: int

    @property
    def device(self) -> str:
        """What it trains on: `cpu` or `cuda`."""
        return "cuda" if self.gpu and not os.environ.get(EMULATED) else "cpu"

    def __str__(self) -> str:
        return f"{self.cpu} CPU" + (f" and {self.gpu:g} GPU" if self.gpu else "")


@dataclass(frozen=True)
class Node:
    """One machine of the cluster."""

    id: str
    address: str
    cpu: int
    gpu: int
    port: int = 0
    """The raylet's."""

    def __str__(self) -> str:
        return f"{self.address} ({self.cpu} CPUs, {self.gpu} GPUs)"

    def fits(self, share: Share) -> bool:
        """Whether it can ever run such a trial."""
        return share.cpu <= self.cpu and share.gpu <= self.gpu

    def most(self, share: Share) -> int:
        """How many such trials it can run at a time. A part of a GPU lies on one GPU."""
        by_gpu = math.inf
        if share.gpu:
            by_gpu = self.gpu * int(1 / share.gpu + 1e-6) if share.gpu <= 1 else self.gpu // share.gpu
        return int(min(self.cpu // share.cpu, by_gpu))


class Slots:
    """What the trials of a search are given, and how many run at a time. The nodes may change while it runs."""

    def __init__(self, shares: Mapping[str, Share], nodes: Sequence[Node], limit: int, *, elastic: bool = False):
        """Begin with the nodes that are there.

        Args:
            shares: what a trial is given, by model.
            nodes: the machines.
            limit: the most trials at a time, whatever fits.
            elastic: let trials up to the limit wait for nodes that are not there yet, so that an autoscaler sees them.
        """
        self.shares, self.nodes, self.limit, self.elastic = dict(shares), list(nodes), limit, elastic

    @classmethod
    def alone(cls, models: Iterable[str], share: Share) -> "Slots":
        """One trial at a time."""
        return cls(dict.fromkeys(models, share), [], 1, elastic=True)

    @property
    def devices(self) -> str:
        """What the trials train on: `cpu`, `cuda`, or both."""
        return " and ".join(sorted({share.device for share in self.shares.values()}))

    @property
    def concurrent(self) -> int:
        """How many trials run at a time at the most."""
        if self.elastic:
            return self.limit
        return min(self.limit, sum(node.most(min(self.shares.values())) for node in self.nodes))

    def room(self, running: Sequence[str], model: str | None = None) -> bool:
        """Whether a trial fits beside those that run.

        Args:
            running: the models of those that run.
            model: of the trial; None for the one that takes least.
        """
        if len(running) >= self.limit:
            return False
        share = min(self.shares.values()) if model is None else self.shares[model]
        taken = [self.shares[m] for m in running]
        return self.elastic or _fit([*taken, share], self.nodes)

    def describe(self) -> str:
        """What is asked for, and what is there, for people."""
        distinct = set(self.shares.values())
        if len(distinct) == 1:
            each = f"{self.concurrent} trials at a time with {distinct.pop()} each"
        else:
            listed = ", ".join(f"{model} with {share}" for model, share in self.shares.items())
            each = f"up to {self.concurrent} trials at a time, {listed}"
        emulated = " (emulated: trained on the CPU)" if os.environ.get(EMULATED) else ""
        return f"{each}, of {self.there()}{emulated}"

    def there(self) -> str:
        """What the nodes have together, for people."""
        cpus, gpus = (sum(getattr(node, kind) for node in self.nodes) for kind in ("cpu", "gpu"))
        on = f" on {len(self.nodes)} nodes" if len(self.nodes) > 1 else ""
        return f"{cpus} CPUs, {gpus} GPUs{on}"


def _fit(shares: Sequence[Share], nodes: Sequence[Node]) -> bool:
    """Whether all run at the same time: the largest first, each on the first node with room."""
    if len(set(shares)) == 1:
        return len(shares) <= sum(node.most(shares[0]) for node in nodes)
    cpus = [node.cpu for node in nodes]
    gpus = [[1.0] * node.gpu for node in nodes]
    return all(_placed(share, cpus, gpus) for share in sorted(shares, reverse=True))


def _placed(share: Share, cpus: list[int], gpus: list[list[float]]) -> bool:
    for node, free in enumerate(gpus):
        if cpus[node] < share.cpu:
            continue
        # Trials without a GPU go where there is none, if they can: the sort puts them last.
        need = [i for i, left in enumerate(free) if left >= min(share.gpu, 1) - 1e-6][: max(1, math.ceil(share.gpu))]
        if share.gpu and len(need) < math.ceil(share.gpu):
            continue
        cpus[node] -= share.cpu
        for i in need if share.gpu else ():
            free[i] -= min(share.gpu, 1)
        return True
    return False


def plan(
    spec: Spec,
    nodes: Sequence[Node],
    measure: Callable[[], Mapping[str, float]],
    *,
    coming: Sequence[Node] = (),
    joined: bool = False,
) -> tuple[Slots, list[Problem]]:
    """How many trials run at a time and with what, or what no node can ever meet.

    Args:
        spec: the search.
        nodes: the machines that are there.
        measure: by model, the part of the smallest GPU's memory that its largest trial takes, 0..1; called only
            where it matters.
        coming: nodes that an autoscaler may add.
        joined: whether the cluster was there before, and may grow: `budget.concurrent` is then not cut to what fits.
    """
    possible = [*nodes, *coming]
    shares: dict[str, Share] = {}
    problems: dict[str, Problem] = {}
    packed: Mapping[str, float] | None = None
    for model in spec.models:
        cpu, gpu = spec.share_of(model)
        if gpu == "auto":
            hosts = [node for node in possible if node.gpu and node.cpu >= cpu]
            packed = measure() if hosts and packed is None else packed
            room = min((node.cpu // cpu // node.gpu for node in hosts), default=0)
            gpu = _packed((packed or {})[model], min(MAX_TRIALS_A_GPU, room or 1)) if hosts else 0.0
        shares[model] = share = Share(gpu, cpu)
        if not any(node.fits(share) for node in possible):
            for problem in _unmet(spec, model, share, possible):
                problems.setdefault(problem.key, problem)
    wanted = spec.budget.concurrent
    limit = spec.trials if wanted == "auto" else min(wanted, spec.trials)
    elastic = joined and (wanted != "auto" or bool(coming))
    if coming and wanted == "auto":
        limit = min(limit, sum(node.most(min(shares.values())) for node in possible))
    return Slots(shares, nodes, limit, elastic=elastic), list(problems.values())


def _unmet(spec: Spec, model: str, share: Share, nodes: Sequence[Node]) -> list[Problem]:
    """Which of a model's two numbers no node has, or that none has both."""
    there = f"the largest of {len(nodes)} nodes have" if len(nodes) > 1 else "there are"
    most = {kind: max((getattr(node, kind) for node in nodes), default=0) for kind in ("cpu", "gpu")}
    remedies = {"cpu": "lower it", "gpu": "lower it, or write auto"}
    found = [
        Problem(
            spec.share_key(model, kind),
            f"asks for {getattr(share, kind):g} {kind.upper()}s a trial, {there} {most[kind]}: {remedies[kind]}",
        )
        for kind in ("cpu", "gpu")
        if getattr(share, kind) > most[kind]
    ]
    return found or [
        Problem(
            spec.share_key(model, "gpu"),
            f"asks for {share} a trial, which no node has together: there are {', '.join(map(str, nodes))}: lower one",
        )
    ]


def _packed(part: float, most: int) -> float:
    """The fraction of a GPU for a trial that fills `part` of its memory."""
    trials = max(1, min(most, math.floor(MAX_GPU_SHARE / part))) if part > 0 else most
    return math.floor(10_000 / trials) / 10_000  # Ray counts in ten-thousandths
