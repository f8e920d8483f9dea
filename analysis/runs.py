"""MLflow's record as two tidy frames: a row a trial, and a row a trial and epoch.

    frames = analysis.runs.load("lenet")

Only runs that a search of this platform wrote are read; `Frames.ignored` counts the others.
"""

import difflib
import logging
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis.errors import AnalysisError
from analysis.mlflow_private import histories
from contract import record
from contract.formatting import first_line
from contract.locations import SQLITE, resolve_uri
from contract.outcomes import RUNNING

PAGE_SIZE = 1000
"""Runs in one answer of a search for runs."""
IDENTITY = ("run_id", "trial", "search", "epoch", "time")
"""Columns of the curves that are no metrics."""


@dataclass(frozen=True)
class Frames:
    """The searches and trials of one experiment, or of one search."""

    trials: pd.DataFrame
    """A row a trial: run_id, trial, number, search, phase, seed, outcome, reason, started (seconds since 1970),
    epochs, seconds, a column `params.*` for each hyperparameter (numbers as numbers) and `metrics.*` for each
    metric's last value."""
    curves: pd.DataFrame
    """A row a trial and epoch: run_id, trial, search, epoch, time (seconds since 1970), and a column a metric, as
    `curve_column` names it."""
    parents: tuple[Run, ...]
    """The searches' own runs, the latest first."""
    experiment: str
    """The experiment's name."""
    ignored: int
    """How many runs of other programs, or of earlier versions of this one, are in the same experiment."""


def load(name: str, *, tracking_uri: str | None = None, search: str | None = None) -> Frames:
    """Read an experiment, or one search of it.

    Args:
        name: an experiment's name or a search's id.
        tracking_uri: MLflow's address; None stands for the one that a search writes to when none is named.
        search: the id of one search of the experiment.

    Raises:
        AnalysisError: there is none, in which case the message has the nearest names; or the server is down.
    """
    client = connect(tracking_uri)
    try:
        experiment, found = find(client, name)
        return read(client, experiment, search or found)
    except MlflowException as error:
        raise AnalysisError(f"MLflow at {resolve_uri(tracking_uri)} does not answer: {first_line(error)}") from error


def curve_column(metric: str) -> str:
    """The column of the curves that holds a metric: its name, or `metrics.NAME` where another column has that name."""
    return f"metrics.{metric}" if metric in IDENTITY else metric


def last_values(runs: pd.DataFrame, metric: str) -> pd.Series:
    """The last value of a metric of each run that has one, by seed; empty where no run has it."""
    column = f"metrics.{metric}"
    if column not in runs:
        return pd.Series(dtype=float)
    return runs.set_index("seed")[column].dropna()


def connect(uri: str | None) -> MlflowClient:
    """Make a client whose server or database has answered, and that gives up after seconds.

    Raises:
        AnalysisError: it does not answer; or there is no database file, for MLflow would make an empty one.
    """
    resolved = resolve_uri(uri)
    if resolved.startswith(SQLITE) and not Path(resolved.removeprefix(SQLITE)).is_file():
        raise AnalysisError(f"no record in {resolved}: name the address that the search wrote to with --tracking-uri")
    for name, value in record.FAILS_FAST.items():
        os.environ.setdefault(name, value)
    for name in record.LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        client = MlflowClient(resolved)
        client.search_experiments(max_results=1)
    except Exception as error:  # whatever a server, a proxy or a database can answer with
        raise AnalysisError(f"MLflow at {resolved} does not answer: {first_line(error)}") from error
    return client


def find(client: MlflowClient, name: str) -> tuple[Experiment, str | None]:
    """Find the experiment of that name; or the one that holds the search of that id, and the id.

    Raises:
        AnalysisError: there is neither; the message has the nearest names.
    """
    experiments = client.search_experiments()
    named = {experiment.name: experiment for experiment in experiments}
    if name in named:
        return named[name], None
    by_id = {experiment.experiment_id: experiment for experiment in experiments}
    searches = {run.data.tags[record.SEARCH_ID]: run for run in _runs(client, list(by_id), _PARENTS)}
    if name in searches:
        return by_id[searches[name].info.experiment_id], name
    near = difflib.get_close_matches(name, [*named, *searches], n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    known = ", ".join(sorted({by_id[run.info.experiment_id].name for run in searches.values()})) or "none"
    raise AnalysisError(f"no experiment and no search {name!r}: {hint}Experiments with searches: {known}")


def read(client: MlflowClient, experiment: Experiment, search: str | None) -> Frames:
    """Read the frames of an experiment, or of one search of it."""
    runs = _runs(client, [experiment.experiment_id], f"tags.`{record.SEARCH_ID}` = '{search}'" if search else "")
    trials = [run for run in runs if record.TRIAL_NUMBER in run.data.tags]
    parents = [run for run in runs if record.SEARCH_ID in run.data.tags and not record.is_trial(run.data.tags)]
    curves = _curves(client, trials)
    last_epochs = dict(zip(curves["run_id"], curves["epoch"], strict=True))  # rows ascend: a run's last one stays
    return Frames(
        trials=_numbers(pd.DataFrame([_row(run, last_epochs.get(run.info.run_id, 0)) for run in trials])),
        curves=curves,
        parents=tuple(sorted(parents, key=lambda run: -run.info.start_time)),
        experiment=experiment.name,
        ignored=len(runs) - len(trials) - len(parents),
    )


_PARENTS = f"tags.`{record.SEARCH_ID}` LIKE '%' AND run_name LIKE '{record.RUN_NAME}%'"


def _runs(client: MlflowClient, experiment_ids: list[str], query: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiment_ids, query, max_results=PAGE_SIZE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _row(run: Run, epochs: int) -> dict[str, Any]:
    tags, info = run.data.tags, run.info
    return {
        **_identity(run),
        "number": int(tags[record.TRIAL_NUMBER]),
        "phase": tags[record.PHASE],
        "seed": int(tags[record.SEED]),
        "outside": tags.get(record.OUTSIDE) == record.boolean(True),
        "outcome": tags.get(record.OUTCOME, RUNNING),
        "reason": tags.get(record.REASON, ""),
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
        column = columns.setdefault(curve_column(metric), {})
        for logged_value in histories(client, run_ids, metric):
            place = logged_value.run_id, logged_value.step
            column[place] = logged_value.value
            times[place] = logged_value.timestamp_ms / 1000
    rows = [
        {**identities[run_id], "epoch": step, "time": time}
        | {name: column.get((run_id, step), float("nan")) for name, column in columns.items()}
        for (run_id, step), time in sorted(times.items(), key=lambda item: item[0])
    ]
    return pd.DataFrame(rows, columns=[*IDENTITY, *columns])


def _identity(run: Run) -> dict[str, str]:
    return {
        "run_id": run.info.run_id,
        "trial": run.data.tags[record.TRIAL_ID],
        "search": run.data.tags[record.SEARCH_ID],
    }


def _numbers(trials: pd.DataFrame) -> pd.DataFrame:
    """MLflow keeps parameters as text; columns that hold only numbers become numbers."""
    for column in [name for name in trials.columns if str(name).startswith("params.")]:
        numbers = pd.to_numeric(trials[column], errors="coerce")
        if numbers.notna().eq(trials[column].notna()).all():
            trials[column] = numbers
    return trials
