"""What is said when Ray cannot be had."""

import pytest
from conftest import write_spec

from search import cluster, run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: Ray did not start on this machine (The current node timed out): is the machine too busy"),
        (["--address", "10.0.0.1:6379"], "error: --address: no Ray cluster answers there: The current node timed out"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_a_message(tmp_path, monkeypatch, capsys, empty_database, arguments, message):
    """Ray raises a bare Exception when its processes do not start in time."""

    def fail(address):
        raise Exception("The current node timed out\nand more")  # noqa: TRY002

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    monkeypatch.setattr(cluster, "connect", fail)
    assert run.main([str(write_spec(tmp_path / "made.yaml")), *arguments]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "results").exists()
