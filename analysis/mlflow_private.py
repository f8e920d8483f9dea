"""What is private in MLflow, and is touched all the same.

| what | why | what breaks without it |
|---|---|---|
| `client._tracking_client.store` | the public client reads the history of one run and metric at a time | reading 500 trials takes minutes instead of seconds |
| `store.get_metric_history_bulk` | a database's own call for many runs at once, with which MLflow's UI draws its charts | no learning curve is read from a database |
| `/ajax-api/2.0/mlflow/metrics/get-history-bulk` | a server's call for many runs at once, which takes up to 100 runs and gives up to 25,000 values | no learning curve is read from a server |
| `http_request` and `store.get_host_creds` | the client's own way to a server, with its password, certificates, retries and timeout | a server that asks for a password refuses to answer |

`tests/analysis/test_mlflow_private.py` has a test for each row.
"""  # noqa: E501 (a table's rows are lines)

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils import rest_utils

HISTORIES = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
"""The server's path for the histories of many runs."""
MAX_RUNS_PER_REQUEST = 100
"""Runs that a server takes in one request for histories."""
MAX_VALUES_PER_REQUEST = 25_000
"""Values that a server gives in one answer; it leaves out all others without a word."""
ALL_VALUES = 10**9
"""Values that a database is asked for: more than there are."""
OK = 200
"""HTTP's status of an answer."""


@dataclass(frozen=True)
class LoggedValue:
    """One value that a run logged under a metric."""

    run_id: str
    step: int
    timestamp_ms: int
    value: float


def histories(client: MlflowClient, run_ids: Sequence[str], metric: str) -> Iterator[LoggedValue]:
    """Read everything that some runs logged under a metric, in a few requests.

    Raises:
        MlflowException: the server refuses to answer.
    """
    store: Any = client._tracking_client.store
    if not hasattr(store, "get_metric_history_bulk"):
        yield from _from_server(store, run_ids, metric)
        return
    for found in store.get_metric_history_bulk(list(run_ids), metric, ALL_VALUES):
        yield LoggedValue(found.run_id, found.step, found.timestamp, found.value)


def _from_server(store: Any, run_ids: Sequence[str], metric: str) -> Iterator[LoggedValue]:
    chunks = [run_ids[i : i + MAX_RUNS_PER_REQUEST] for i in range(0, len(run_ids), MAX_RUNS_PER_REQUEST)]
    while chunks:
        chunk = chunks.pop()
        values = _request(store, chunk, metric)
        if len(values) == MAX_VALUES_PER_REQUEST and len(chunk) > 1:  # some may have been left out
            chunks += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
            continue
        for value in values:
            yield LoggedValue(value["run_id"], int(value["step"]), int(value["timestamp"]), float(value["value"]))


def _request(store: Any, run_ids: Sequence[str], metric: str) -> list[dict[str, Any]]:
    request: Any = rest_utils.http_request
    response = request(
        store.get_host_creds(),
        HISTORIES,
        "GET",
        params={"run_id": list(run_ids), "metric_key": metric, "max_results": MAX_VALUES_PER_REQUEST},
    )
    if response.status_code != OK:
        raise MlflowException(f"{response.status_code} {response.reason}, asked for the history of {metric}")
    values: list[dict[str, Any]] = json.loads(response.text)["metrics"]  # the response's own parser may refuse NaN
    return values
