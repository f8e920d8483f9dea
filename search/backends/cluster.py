"""The machines, as Ray knows them: connecting, which nodes there are, what is free, how large their GPUs are."""

import logging
import os
import secrets
import socket
from typing import Any

import psutil

from search.backends import ray_private

for variable, value in ray_private.QUIET_ON_LOST_NODES.items():  # before Ray is imported
    os.environ.setdefault(variable, value)
# Trials write nothing where they are. Before Ray starts, so that its workers have it.
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"

import ray  # noqa: E402
from ray.util.placement_group import placement_group_table  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from contract import installation  # noqa: E402
from contract.formatting import first_line  # noqa: E402
from search.orchestration.slots import Node  # noqa: E402
from search.spec.spec import Spec  # noqa: E402
from search.storage.storage import Storage, check  # noqa: E402
from search.trial.data_source import DataSource  # noqa: E402
from trainables import own_code  # noqa: E402

OBJECT_STORE_BYTES = 100 * 1024**2
"""Nothing large goes through Ray's object store: images are memory-mapped, states are files."""
PACKAGES = ("contract", "search", "trainables")
"""The packages that a trial imports."""
MAX_NODES = 1000
"""The nodes that an autoscaler without a limit is taken to add."""
RAYLET_TIMEOUT_S = 1.0
"""The time that a node's raylet has to take a connection."""


def connect(address: str | None) -> None:
    """Start Ray on this machine, or join the cluster at `address` (else at RAY_ADDRESS, which `ray job submit` sets).

    Raises:
        ConnectionError: nothing answers there.
    """
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if where == "local":
        os.environ.update(ray_private.KEEP_FIRST_WORKERS | (ray_private.PRELOAD if _room_to_preload() else {}))
        options = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    elif not ray_private.is_job_driver():  # a job's code is there already
        options = {"runtime_env": _code()}
    before = ray_private.raylets()
    ray.init(where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
    _raylets[:] = ray_private.raylets() - before


def _code() -> dict[str, Any]:
    """The project's code, for the workers of a cluster: the checkout, or the packages where they are installed."""
    if checkout := installation.checkout():
        return {"working_dir": str(checkout)}
    return {"py_modules": [str(installation.FOLDER / name) for name in PACKAGES]}


def _room_to_preload() -> bool:
    """Whether the first workers take an eighth of the memory at the most: there is one a CPU, however few are used."""
    return (os.cpu_count() or 1) * ray_private.PRELOADED_BYTES <= psutil.virtual_memory().total / 8


_raylets: list[psutil.Process] = []
"""The one that `connect` started on this machine; none of a cluster that was there."""


def is_own() -> bool:
    """Whether this process started Ray, on this machine."""
    return bool(_raylets)


def has_died() -> bool:
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


def nodes() -> list[Node]:
    """The machines that are there now."""
    return [
        Node(
            id=node["NodeID"],
            address=node["NodeManagerAddress"],
            cpu=int(node["Resources"].get("CPU", 0)),
            gpu=int(node["Resources"].get("GPU", 0)),
            port=node["NodeManagerPort"],
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def answers(node: Node) -> bool:
    """Whether its raylet takes connections. Ray itself waits for 15 seconds and more before it gives a node up."""
    try:
        socket.create_connection((node.address, node.port), RAYLET_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def autoscalable_nodes() -> list[Node]:
    """The machines that an autoscaler may add."""
    return [
        Node(id="", address=name, cpu=int(resources.get("CPU", 0)), gpu=int(resources.get("GPU", 0)))
        for name, resources, count in ray_private.autoscaler_groups()
        for _ in range(min(count, MAX_NODES) if count >= 0 else MAX_NODES)
    ]


def unreachable_storage(storage: str) -> dict[str, str]:
    """The nodes, by address, on which a storage cannot be used as it is used here, and why."""
    place, name = Storage(storage), f"_reach-{secrets.token_hex(4)}"
    place.write(name, name.encode())
    try:
        reach = ray.remote(num_cpus=0, max_calls=1)(_reach)
        asked = {node: reach.options(scheduling_strategy=_on(node)).remote(storage, name) for node in nodes()}
        told = {node.address: ray.get(answer) for node, answer in asked.items()}
    finally:
        place.remove(name)
    return {address: why for address, why in told.items() if why}


def _reach(storage: str, name: str) -> str:
    try:
        check(storage)
        found = Storage(storage).read(name)
    except OSError as error:
        return first_line(error)
    return "" if found == name.encode() else "it is another one there"


def unplaced() -> int:
    """How many requests for resources no node has room for at this moment, those of others too."""
    return sum(group["state"] in ("PENDING", "RESCHEDULING") for group in placement_group_table().values())


def free_resources() -> dict[str, float]:
    """CPUs and GPUs that nothing holds."""
    there = ray.available_resources()
    return {kind: there.get(kind, 0.0) for kind in ("CPU", "GPU")}


def measure_gpu_share(spec: Spec, source: DataSource) -> dict[str, float]:
    """Train a few steps of the largest configuration of each model on a GPU.

    Returns:
        By model, the part that it takes of the memory of the smallest GPU in the cluster.
    """
    size = ray.remote(num_cpus=0, num_gpus=1, max_calls=1)(_gpu_bytes)
    least = min(ray.get([size.options(scheduling_strategy=_on(node)).remote() for node in nodes() if node.gpu]))
    largest = {key: max(spec.space.possible(key)) for key in ("batch_size", "resize")}
    probe = ray.remote(num_gpus=1, num_cpus=1, max_calls=1)(_bytes_taken)
    taken = [
        probe.remote(spec.space.fixed(model) | largest | {"model": model}, source.content(), own_code.allowed())
        for model in spec.models
    ]
    return {model: bytes / least for model, bytes in zip(spec.models, ray.get(taken), strict=True)}


def _on(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def _gpu_bytes() -> int:
    import torch

    return torch.cuda.mem_get_info()[1]


def _bytes_taken(params: dict[str, Any], source: dict[str, Any], code: str | None) -> int:
    import itertools

    import torch

    from trainables.config import TrainConfig
    from trainables.loader import Loader
    from trainables.state import TrainState
    from trainables.training import train_step

    own_code.allow(code)
    device = torch.device("cuda")
    config = TrainConfig.from_params(params)
    found = DataSource.from_content(source)
    data = found.load()
    loader = Loader(found.split(data, config.train_fraction), config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    for images, labels in itertools.islice(loader.training(0), 3):
        train_step(config, state, images, labels)
    free, total = torch.cuda.mem_get_info()  # counts the context and libraries too, which max_memory_allocated does not
    return total - free
