"""MLflow's record as two tidy frames: a row a trial, and a row a trial and epoch.

    frames = analysis.runs.load("lenet")

Only runs that a search of this platform wrote are read; `Frames.ignored` counts the others.
"""

import difflib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.rest_utils import http_request

from analysis.errors import AnalysisError

PAGE = 1000
SQLITE = "sqlite:///"
RUNS_A_CALL, VALUES_A_CALL = 100, 25_000
"""The most runs, and values, that a server answers in one request for histories."""
SETTINGS = {
    # The client's own would try for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Frames:
    """The searches and trials of one experiment, or of one search."""

    trials: pd.DataFrame
    """A row a trial: run_id, trial, number, search, phase, seed, outcome, reason, started (seconds since 1970),
    epochs, seconds, a column `params.*` for each hyperparameter (numbers as numbers) and `metrics.*` for each
    metric's last value."""
    curves: pd.DataFrame
    """A row a trial and epoch: run_id, trial, search, epoch, time (seconds since 1970), and a column a metric."""
    parents: tuple[Run, ...]
    """The searches' own runs, the latest first."""
    experiment: str
    ignored: int
    """Runs of other programs, or of earlier versions of this one, in the same experiment."""


def load(name: str, *, tracking_uri: str | None = None, search: str | None = None) -> Frames:
    """Read an experiment, or one search of it.

    Args:
        name: an experiment's name or a search's id.
        tracking_uri: MLflow's; None is MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here.
        search: the id of one search of the experiment.

    Raises:
        AnalysisError: there is none; with the nearest names of those that there are. Or the server is down.
    """
    client = connect(tracking_uri)
    try:
        experiment, found = find(client, name)
        return read(client, experiment, search or found)
    except MlflowException as error:
        raise AnalysisError(f"MLflow at {resolve_uri(tracking_uri)} does not answer: {first_line(error)}") from error


def resolve_uri(uri: str | None) -> str:
    """Where the record is: what is given, else MLFLOW_TRACKING_URI, else a database in this folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"


def connect(uri: str | None) -> MlflowClient:
    """A client whose server or database has answered, and that gives up after seconds.

    Raises:
        AnalysisError: it does not answer; or a database file is not there: MLflow would make an empty one.
    """
    resolved = resolve_uri(uri)
    if resolved.startswith(SQLITE) and not Path(resolved.removeprefix(SQLITE)).is_file():
        raise AnalysisError(f"no record in {resolved}: give the place of the search's with --tracking-uri")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        client = MlflowClient(resolved)
        client.search_experiments(max_results=1)
    except Exception as error:  # whatever a server, a proxy or a database can answer with
        raise AnalysisError(f"MLflow at {resolved} does not answer: {first_line(error)}") from error
    return client


def find(client: MlflowClient, name: str) -> tuple[Any, str | None]:
    """The experiment of that name; or the one that holds the search of that id, and the id.

    Raises:
        AnalysisError: neither; with the nearest names.
    """
    experiments = client.search_experiments()
    named = {experiment.name: experiment for experiment in experiments}
    if name in named:
        return named[name], None
    by_id = {experiment.experiment_id: experiment for experiment in experiments}
    searches = {run.data.tags["search.id"]: run for run in _runs(client, list(by_id), _PARENTS)}
    if name in searches:
        return by_id[searches[name].info.experiment_id], name
    near = difflib.get_close_matches(name, [*named, *searches], n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    known = ", ".join(sorted({by_id[run.info.experiment_id].name for run in searches.values()})) or "none"
    raise AnalysisError(f"no experiment and no search {name!r}: {hint}Experiments with searches: {known}")


def read(client: MlflowClient, experiment: Any, search: str | None) -> Frames:
    """The frames of an experiment, or of one search of it."""
    runs = _runs(client, [experiment.experiment_id], f"tags.`search.id` = '{search}'" if search else "")
    trials = [run for run in runs if "search.trial_number" in run.data.tags]
    parents = [run for run in runs if "search.id" in run.data.tags and "search.trial_id" not in run.data.tags]
    curves = _curves(client, trials)
    lasts = dict(zip(curves["run_id"], curves["epoch"], strict=True))  # of a run's rows, ascending, the last stays
    return Frames(
        trials=_numbers(pd.DataFrame([_row(run, lasts.get(run.info.run_id, 0)) for run in trials])),
        curves=curves,
        parents=tuple(sorted(parents, key=lambda run: -run.info.start_time)),
        experiment=experiment.name,
        ignored=len(runs) - len(trials) - len(parents),
    )


def first_line(error: Exception) -> str:
    """The beginning of an error's text: servers answer with pages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


_PARENTS = "tags.`search.id` LIKE '%' AND run_name LIKE 'search %'"


def _runs(client: MlflowClient, experiment_ids: list[str], query: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiment_ids, query, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _row(run: Run, epochs: int) -> dict[str, object]:
    tags, info = run.data.tags, run.info
    return {
        **_identity(run),
        "number": int(tags["search.trial_number"]),
        "phase": tags["phase"],
        "seed": int(tags["seed"]),
        "outside": tags.get("search.outside") == "true",
        "outcome": tags.get("outcome", "running"),
        "reason": tags.get("reason", ""),
        "started": info.start_time / 1000,
        "epochs": epochs,
        "seconds": (info.end_time - info.start_time) / 1000 if info.end_time else float("nan"),
        **{f"params.{key}": value for key, value in run.data.params.items()},
        **{f"metrics.{key}": value for key, value in run.data.metrics.items()},
    }


def _curves(client: MlflowClient, runs: list[Run]) -> pd.DataFrame:
    """All histories: a request a metric and hundred runs, for one a run and metric takes a minute and more."""
    identities = {run.info.run_id: _identity(run) for run in runs}
    logged: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        for metric in run.data.metrics:
            logged[metric].append(run.info.run_id)
    columns: dict[str, dict[tuple[str, int], float]] = {}
    times: dict[tuple[str, int], float] = {}
    for metric, run_ids in logged.items():
        column = columns.setdefault(metric, {})
        for run_id, step, timestamp, value in _histories(client, run_ids, metric):
            column[run_id, step] = value
            times[run_id, step] = timestamp / 1000
    rows = [
        {**identities[run_id], "epoch": step, "time": time}
        | {metric: column.get((run_id, step), float("nan")) for metric, column in columns.items()}
        for (run_id, step), time in sorted(times.items(), key=lambda item: item[0])
    ]
    return pd.DataFrame(rows, columns=["run_id", "trial", "search", "epoch", "time", *columns])


def _histories(client: MlflowClient, run_ids: list[str], metric: str) -> Iterable[tuple[str, int, int, float]]:
    """Run, step, time in ms and value of everything logged under a metric.

    MLflow's public client asks for one run at a time. These are the calls behind its UI's charts: the
    database's own, and the server's.
    """
    store = client._tracking_client.store
    if hasattr(store, "get_metric_history_bulk"):
        for found in store.get_metric_history_bulk(run_ids, metric, 10**9):
            yield found.run_id, found.step, found.timestamp, found.value
        return
    chunks = [run_ids[i : i + RUNS_A_CALL] for i in range(0, len(run_ids), RUNS_A_CALL)]
    while chunks:
        chunk = chunks.pop()
        response = http_request(
            store.get_host_creds(),
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
            "GET",
            params={"run_id": chunk, "metric_key": metric, "max_results": VALUES_A_CALL},
        )
        if response.status_code != 200:
            raise MlflowException(f"{response.status_code} {response.reason}, asked for the history of {metric}")
        values = json.loads(response.text)["metrics"]  # requests may take a parser that refuses NaN
        if len(values) == VALUES_A_CALL and len(chunk) > 1:  # there may be more
            chunks += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
            continue
        for value in values:
            yield value["run_id"], int(value["step"]), int(value["timestamp"]), float(value["value"])


def _identity(run: Run) -> dict[str, str]:
    return {
        "run_id": run.info.run_id,
        "trial": run.data.tags["search.trial_id"],
        "search": run.data.tags["search.id"],
    }


def _numbers(trials: pd.DataFrame) -> pd.DataFrame:
    """MLflow keeps parameters as text; columns that hold only numbers become numbers."""
    for column in [name for name in trials.columns if str(name).startswith("params.")]:
        numbers = pd.to_numeric(trials[column], errors="coerce")
        if numbers.notna().eq(trials[column].notna()).all():
            trials[column] = numbers
    return trials
