"""What is said when Ray cannot be had, and how often it is started again."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from conftest import write_spec

from search import run
from search.backends import cluster, ray_tune
from search.backends.ray_backend import ClusterLost, RayBackend
from search.orchestration.slots import Share, Slots


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: Ray did not start on this machine (The current node timed out): is the machine too busy"),
        (["--address", "ray://10.0.0.1:10001"], "error: --address: ray://10.0.0.1:10001 is for Ray's client: submit"),
        (["--address", "10.0.0.1:6379"], "error: --address: no Ray cluster answers there: The current node timed out"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_a_message(tmp_path, monkeypatch, capsys, empty_database, arguments, message):
    """Ray raises a bare Exception when its processes do not start in time."""

    def fail(address):
        raise Exception("The current node timed out\nand more")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    monkeypatch.setattr(cluster, "connect", fail)
    assert run.main([str(write_spec(tmp_path / "made.yaml")), *arguments]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("epochs", "starts", "broken"),
    [([3, 0], 2, False), ([1, 1, 1, 1, 0], 5, False), ([0, 0, 9], 2, True), ([2, 0, 9], 2, True)],
    ids=["once", "often", "at once and again", "then at once and again"],
)
def test_ray_is_started_again_as_long_as_trials_get_on(monkeypatch, epochs, starts, broken):
    """Args: epochs: that trials told of in each of its lives, after the last of which it has not died."""
    lives, warnings, restarted = iter(epochs), [], []
    phases = SimpleNamespace(epochs_reported=0, restart=lambda: restarted.append(phases.epochs_reported))
    begun: list[int] = []

    def live(phases, *_):
        begun.append(phases.epochs_reported)
        phases.epochs_reported += next(lives)

    monkeypatch.setattr(ray_tune, "run", live)
    monkeypatch.setattr(cluster, "has_died", lambda: len(begun) < len(epochs))
    monkeypatch.setattr(cluster, "connect", lambda address: None)
    monkeypatch.setattr(cluster, "disconnect", lambda: None)
    monkeypatch.setattr(cluster, "nodes", list)
    resources = SimpleNamespace(retries=1)
    backend = RayBackend(SimpleNamespace(resources=resources), None, None, "local", list)
    backend.slots = Slots({"lenet": Share(0, 1)}, [], 1)
    with pytest.raises(ClusterLost, match="2 times") if broken else nullcontext():
        backend.run(phases, lambda: False, warnings.append)
    assert len(begun) == starts
    assert len(warnings) == len(restarted) == starts - 1
