"""The machines: connecting to Ray, and how many trials fit at a time."""

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from search import tuner  # noqa: F401 (first: its settings must be there when ray.tune is imported)
from search.dataset import DataSource
from search.errors import Problem
from search.spec import Spec
from trainables import own_code

import ray  # isort: skip

OBJECT_STORE_BYTES = 100 * 1024**2
"""Nothing large goes through Ray's object store: images are memory-mapped, states are files."""
GPU_SHARE = 0.9
"""Part of a GPU's memory that packed trials may fill."""
MOST_A_GPU = 8
"""More trials on one GPU only wait for each other."""


@dataclass(frozen=True)
class Slots:
    """What a trial gets, and how many run at a time."""

    cpu: int
    gpu: float
    concurrent: int

    @property
    def device(self) -> str:
        """What trials train on."""
        return "cuda" if self.gpu > 0 else "cpu"

    def describe(self, available: dict[str, float]) -> str:
        """For people: what is asked for, and what is there."""
        each = f"{self.cpu} CPU" + (f" and {self.gpu:g} GPU" if self.gpu else "")
        there = f"{available.get('CPU', 0):g} CPUs, {available.get('GPU', 0):g} GPUs"
        return f"{self.concurrent} trials at a time with {each} each, of {there}"


def connect(address: str | None) -> None:
    """Start Ray on this machine, or join the cluster at `address` (else at RAY_ADDRESS, which `ray job submit` sets).

    Raises:
        ConnectionError: nothing answers there.
    """
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    local: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES} if where == "local" else {}
    )
    before = set(psutil.Process().children(recursive=True))
    ray.init(where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **local)
    started = set(psutil.Process().children(recursive=True)) - before
    _raylets[:] = [process for process in started if process.name() == "raylet"]


_raylets: list[psutil.Process] = []
"""The one that `connect` started on this machine; none of a cluster that was there."""


def lost() -> bool:
    """Whether the raylet that `connect` started has died: Ray notices late, and then waits for it for ever."""
    return any(not _runs(process) for process in _raylets)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def disconnect() -> None:
    """Leave the cluster; one that `connect` started ends."""
    ray.shutdown()
    _raylets.clear()


def available() -> dict[str, float]:
    """CPUs and GPUs of the whole cluster."""
    return {name: amount for name, amount in ray.cluster_resources().items() if name in ("CPU", "GPU")}


def plan(spec: Spec, there: dict[str, float], measure: Callable[[], float]) -> tuple[Slots, list[Problem]]:
    """How many trials run at a time and with what, or what cannot be met.

    Args:
        there: CPUs and GPUs of the cluster.
        measure: the part of a GPU's memory that the largest trial takes, 0..1; called only where it matters.
    """
    cpus, gpus = int(there.get("CPU", 0)), there.get("GPU", 0.0)
    asked, problems = spec.resources, []
    if asked.cpu > cpus:
        problems.append(Problem("resources.cpu", f"asks for {asked.cpu} CPUs a trial, there are {cpus}: lower it"))
    if asked.gpu != "auto" and asked.gpu > gpus:
        problems.append(
            Problem(
                "resources.gpu", f"asks for {asked.gpu:g} GPUs a trial, there are {gpus:g}: lower it, or write auto"
            )
        )
    if problems:
        return Slots(asked.cpu, 0, 0), problems
    if asked.gpu != "auto":
        gpu = float(asked.gpu)
    else:
        gpu = _packed(measure(), most=min(MOST_A_GPU, int(cpus // asked.cpu // gpus) or 1)) if gpus else 0.0
    fit = cpus // asked.cpu
    if gpu:
        fit = min(fit, int(gpus) * int(1 / gpu + 1e-6) if gpu <= 1 else int(gpus / gpu))
    wanted = fit if spec.budget.concurrent == "auto" else min(int(spec.budget.concurrent), fit)
    return Slots(asked.cpu, gpu, min(wanted, spec.trials)), []


def _packed(share: float, most: int) -> float:
    """The fraction of a GPU for a trial that fills `share` of its memory."""
    trials = max(1, min(most, math.floor(GPU_SHARE / share))) if share > 0 else most
    return math.floor(10_000 / trials) / 10_000  # Ray counts in ten-thousandths


def measure_gpu_share(spec: Spec, source: DataSource) -> float:
    """Train a few steps of the largest configuration of each model on one GPU: the part of its memory taken."""
    largest = {key: max(spec.space.possible(key)) for key in ("batch_size", "resize")}
    remote = ray.remote(num_gpus=1, num_cpus=1, max_calls=1)(_probe)
    return max(
        ray.get(
            [
                remote.remote(
                    spec.space.fixed(model) | largest | {"model": model}, source.content(), own_code.allowed()
                )
                for model in spec.models
            ]
        )
    )


def _probe(params: dict[str, Any], source: dict[str, Any], code: str | None) -> float:
    import itertools

    import torch

    from trainables.config import TrainConfig
    from trainables.loader import Loader
    from trainables.state import TrainState
    from trainables.train import train_step

    own_code.allow(code)
    device = torch.device("cuda")
    config = TrainConfig.of(params)
    found = DataSource.of(source)
    data = found.load()
    loader = Loader(found.split(data, config.train_fraction), config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    for images, labels in itertools.islice(loader.training(0), 3):
        train_step(config, state, images, labels)
    free, total = torch.cuda.mem_get_info()  # counts the context and libraries too, which max_memory_allocated does not
    return (total - free) / total
