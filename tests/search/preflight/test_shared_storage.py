"""What several machines must share, told before anything is trained."""

from search.orchestration.slots import Node
from search.preflight.shared_storage import problems

ONE, THREE = [Node("a", "10.0.0.1", 2, 0)], [Node(n, f"10.0.0.{n}", 2, 0) for n in "123"]


def unasked(storage: str) -> dict[str, str]:
    raise AssertionError("of one machine nothing is asked")


def test_one_machine_needs_nothing():
    assert problems(ONE, None, "sqlite:////here/mlflow.db", unasked) == []


def test_several_need_a_server_and_a_storage():
    told = {p.key: p.text for p in problems(THREE, None, "sqlite:////here/mlflow.db", unasked)}
    assert set(told) == {"tracking.uri", "storage"}
    assert "is a file on one of 3 nodes: start a server" in told["tracking.uri"]
    assert "name a folder that all share, or s3://BUCKET/FOLDER" in told["storage"]


def test_every_node_must_reach_the_storage_and_equal_reasons_are_one():
    assert problems(THREE, "/shared", "http://host:5000", lambda storage: {}) == []
    reasons = {"10.0.0.2": "no such folder", "10.0.0.3": "no such folder"}
    (found,) = problems(THREE, "s3://key:secret@b/a", "http://host:5000", lambda storage: reasons)
    assert found.key == "storage"
    assert "cannot be used on 10.0.0.2, 10.0.0.3 (no such folder)" in found.text
    assert "secret" not in found.text
