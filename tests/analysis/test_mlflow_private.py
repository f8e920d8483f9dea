"""What is private in MLflow is still there: a test for each row of `analysis.mlflow_private`."""

import math
from pathlib import Path

import mlflow.utils.rest_utils
import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from private_rows import row, rows

from analysis import mlflow_private
from analysis.mlflow_private import LoggedValue, histories

STORE, BULK, SERVER, REQUEST = rows(mlflow_private)
EXPECTED = {(0, 1, 0.5), (0, 2, 0.75), (1, 1, "nan")}


def logged(client: MlflowClient, experiment: str) -> list[str]:
    """The ids of two runs with three values of the metric m, and another metric."""
    id = client.create_experiment(experiment)
    runs = [client.create_run(id).info.run_id for _ in range(2)]
    client.log_batch(runs[0], [Metric("m", 0.5, 7000, 1), Metric("m", 0.75, 8000, 2), Metric("other", 9, 9000, 1)])
    client.log_batch(runs[1], [Metric("m", math.nan, 7000, 1)])
    return runs


def read(found: list[LoggedValue], runs: list[str]) -> set[tuple[int, int, float | str]]:
    assert all(isinstance(value.timestamp_ms, int) for value in found)
    return {(runs.index(v.run_id), v.step, "nan" if math.isnan(v.value) else v.value) for v in found}


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> MlflowClient:
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def test_every_row_has_a_test():
    assert len(rows(mlflow_private)) == 4


def test_the_client_has_a_store(database):
    with row(mlflow_private, STORE):
        assert database._tracking_client.store.get_experiment("0").name == "Default"


def test_a_database_gives_the_histories_of_many_runs_at_once(database):
    runs = logged(database, "bulk")
    with row(mlflow_private, BULK):
        assert hasattr(database._tracking_client.store, "get_metric_history_bulk")
        assert read(list(histories(database, runs, "m")), runs) == EXPECTED


def test_a_server_gives_the_histories_of_many_runs_at_once(tracking_server, monkeypatch: pytest.MonkeyPatch):
    client = MlflowClient(tracking_server)
    runs = logged(client, "bulk")
    with row(mlflow_private, SERVER):
        assert not hasattr(client._tracking_client.store, "get_metric_history_bulk")
        assert read(list(histories(client, runs, "m")), runs) == EXPECTED
        many = runs * (mlflow_private.MAX_RUNS_PER_REQUEST // 2)
        assert len(mlflow_private._request(client._tracking_client.store, many, "m")) >= 3, "100 runs are answered"
        # An answer that is full may be cut: its runs are asked for again, in halves.
        monkeypatch.setattr(mlflow_private, "MAX_VALUES_PER_REQUEST", 2)
        assert read(list(histories(client, runs, "m")), runs) == EXPECTED


def test_requests_go_the_clients_own_way(monkeypatch: pytest.MonkeyPatch):
    asked = {}

    def answer(credentials, path, method, params):
        asked.update(host=credentials.host, user=credentials.username, password=credentials.password, path=path)

        class Response:
            status_code, reason, text = 200, "OK", '{"metrics": []}'

        return Response()

    with row(mlflow_private, REQUEST):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "lena")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "herring")
        monkeypatch.setattr(mlflow.utils.rest_utils, "http_request", answer)
        assert list(histories(MlflowClient("http://127.0.0.1:9"), ["r"], "m")) == []
        assert asked == {
            "host": "http://127.0.0.1:9", "user": "lena", "password": "herring", "path": mlflow_private.HISTORIES,
        }  # fmt: skip


def test_a_row_fails_with_its_own_words():
    with (
        pytest.raises(pytest.fail.Exception, match="no learning curve is read from a server"),
        row(mlflow_private, SERVER),
    ):
        raise KeyError("metrics")
