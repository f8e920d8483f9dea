"""What is private in Ray and touched all the same: a new version that changes it fails here, and says what for."""

import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from search.backends import ray_private


def rows(module) -> dict[str, str]:
    """What breaks without each thing, from the table in a module's docstring."""
    found = re.findall(r"^\| (.+?) \| .+ \| (.+) \|$", module.__doc__, re.M)
    return {what: breaks for what, breaks in found if not what.startswith(("what", "---"))}


BREAKS = rows(ray_private)
RAYLET = Path(__import__("ray").__file__).parent / "core/src/ray/raylet/raylet"


def breaks(what: str) -> str:
    """What to say where a row no longer holds."""
    return next(text for row, text in BREAKS.items() if what in row)


def test_every_row_has_a_test():
    assert len(BREAKS) == 9, "the table has another row: give it a test"


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, with an actor's death in it."""
    import ray

    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def death(ray) -> tuple[str, str]:
    """Ray's error on an actor whose process was killed, and the node that it was on."""

    class Mortal:
        def pid(self) -> int:
            return os.getpid()

    actor = ray.remote(Mortal).remote()
    pid = ray.get(actor.pid.remote())
    node = ray.get_runtime_context().get_node_id()
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        try:
            ray.get(actor.pid.remote())
        except ray.exceptions.RayActorError as error:
            return str(error), node
        time.sleep(0.1)
    raise AssertionError("the actor outlived its process")


@pytest.mark.ray
def test_the_node_of_an_actor_that_died_is_found_by_the_id_in_its_error(death):
    error, node = death
    assert ray_private.ACTOR_ID.search(error), breaks("an actor's id") + f": {error}"
    assert ray_private.node_of_actor(error) == node, breaks("actor_table")
    assert ray_private.node_of_actor("no id in it") is None


@pytest.mark.ray
def test_what_an_autoscaler_may_add_can_be_asked(ray):
    assert ray_private.autoscaler_groups() == [], breaks("get_cluster_config")
    from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

    assert "node_group_configs" in ClusterConfig.DESCRIPTOR.fields_by_name, breaks("get_cluster_config")
    assert {"name", "resources", "max_count"} <= set(NodeGroupConfig.DESCRIPTOR.fields_by_name)


@pytest.mark.ray
def test_the_raylet_is_a_process_of_that_name(ray):
    assert [p for p in ray_private.raylets() if p.is_running()], breaks("`raylet`")
    assert not [p for p in ray_private.raylets() if p.pid == psutil.Process().pid]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("running low on memory", ray_private.KILLED_FOR_MEMORY),
        ("idle_worker_killing", "idle_worker_killing_time_threshold_ms"),
        ("preload_python_modules", "preload_python_modules"),
    ],
)
def test_the_raylet_knows_the_text(what, text):
    assert text.encode() in RAYLET.read_bytes(), breaks(what)


def test_the_variables_are_those_that_the_raylet_knows():
    names = {*ray_private.KEEP_FIRST_WORKERS, *ray_private.PRELOAD}
    assert names == {"RAY_idle_worker_killing_time_threshold_ms", "RAY_preload_python_modules"}


def test_lines_on_lost_nodes_are_kept_back_by_a_variable(monkeypatch):
    from ray._private import ray_constants

    [variable] = ray_private.QUIET_ON_LOST_NODES
    assert hasattr(ray_constants, variable), breaks("RAY_DEDUP_LOGS_SKIP_REGEX")


def test_a_jobs_driver_is_known_by_a_variable(monkeypatch):
    from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

    assert RAY_JOB_CONFIG_JSON_ENV_VAR == ray_private.JOB_VARIABLE, breaks("RAY_JOB_CONFIG_JSON_ENV_VAR")
    monkeypatch.delenv(ray_private.JOB_VARIABLE, raising=False)
    assert not ray_private.is_job_driver()
    monkeypatch.setenv(ray_private.JOB_VARIABLE, "{}")
    assert ray_private.is_job_driver()
