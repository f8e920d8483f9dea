"""What is private in Ray, and is touched all the same.

| what | why | what breaks without it |
|---|---|---|
| `ray._private.state.state.actor_table` | Ray says of an actor that died which one it was, not where; `ray.util.state` needs the dashboard, which is not started | the deaths of workers on a lost node are counted against their trials |
| an actor's id, in the text of an error | Tune hands on the text alone | the same |
| `ray._private.state.state.get_cluster_config` | what an autoscaler may add; Ray's own libraries ask it so | a search that fits no node yet is refused, though one would be added |
| "running low on memory", in the text of an error | Ray's memory monitor names no error of its own to Tune | the micro-batch is not halved, and the trial fails for memory again |
| the process name `raylet` | a driver hears of the death of its own raylet late, and then waits for ever | the search hangs |
| `RAY_idle_worker_killing_time_threshold_ms` | Ray ends idle workers above the number of free CPUs after 1 s, so just when Tune has reserved all CPUs for them | trials start seconds later |
| `RAY_preload_python_modules` | Ray's first workers import what trials need while the driver is still at it | trials start seconds later |
| `RAY_DEDUP_LOGS_SKIP_REGEX` | Ray would print three lines on a lost node; the monitor says it in one | lines between those of the search |
| `RAY_JOB_CONFIG_JSON_ENV_VAR` | set by Ray in the drivers of submitted jobs, whose code the workers have already | the code is uploaded twice |

`tests/search/backends/test_ray_private.py` has a test for each row.
"""  # noqa: E501 (a table's rows are lines)

import os
import re

import psutil

KEEP_FIRST_WORKERS = {"RAY_idle_worker_killing_time_threshold_ms": "60000"}
PRELOAD = {"RAY_preload_python_modules": "ray.tune,torch,torch._dynamo"}
PRELOADED_BYTES = 450 * 1024**2
"""What a worker takes that has imported them."""
QUIET_ON_LOST_NODES = {"RAY_DEDUP_LOGS_SKIP_REGEX": "has been marked dead because"}
"""Read when Ray is imported."""
KILLED_FOR_MEMORY = "running low on memory"
RAYLET = "raylet"
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
ACTOR_ID = re.compile(r"\b[0-9a-f]{32}\b")


def node_of_actor(error: str) -> str | None:
    """The id of the node on which the actor was that an error of Ray's is about, if its text says which actor."""
    from ray._private.state import state

    actor = ACTOR_ID.search(error)
    return state.actor_table(actor[0]).get("Address", {}).get("NodeID") if actor else None


def was_killed_for_memory(error: str) -> bool:
    """Whether an error of Ray's is that its memory monitor has killed a worker. The kernel's killer leaves no word."""
    return KILLED_FOR_MEMORY in error


def autoscaler_groups() -> list[tuple[str, dict[str, float], int]]:
    """The kinds of nodes that an autoscaler may add: name, resources of a node, and how many (below 0: no limit)."""
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = config.node_group_configs if config else ()
    return [(group.name, dict(group.resources), group.max_count) for group in groups]


def raylets() -> set[psutil.Process]:
    """The raylets among the processes that this one has started."""
    return {process for process in psutil.Process().children(recursive=True) if _name(process) == RAYLET}


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:  # it has ended since it was listed
        return ""


def is_job_driver() -> bool:
    """Whether this process is the driver of a submitted job."""
    return JOB_VARIABLE in os.environ
