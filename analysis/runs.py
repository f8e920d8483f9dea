"""MLflow's record as two tidy frames: a row a trial, and a row a trial and epoch."""

from dataclasses import dataclass

import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

PAGE = 1000


class NoSuchExperiment(LookupError):
    """No experiment of that name; the message lists those that there are."""


@dataclass(frozen=True)
class Frames:
    """The trials of one experiment."""

    trials: pd.DataFrame
    """A row a trial: run_id, trial, search, phase, outcome, epochs, seconds, a column `params.*` for each
    hyperparameter (numbers as numbers) and `metrics.*` for each metric's last value."""
    curves: pd.DataFrame
    """A row a trial and epoch: run_id, trial, search, epoch, and a column for each metric."""


def load(experiment: str, *, tracking_uri: str | None = None, search: str | None = None) -> Frames:
    """Read an experiment, or one search of it.

    Args:
        tracking_uri: MLflow's; None is MLflow's own default.
        search: the id of one search.

    Raises:
        NoSuchExperiment: with the names of those that there are.
    """
    client = MlflowClient(tracking_uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(e.name for e in client.search_experiments()))
        raise NoSuchExperiment(f"no experiment {experiment!r}; there is: {names}")
    runs = [run for run in _runs(client, found.experiment_id, search) if "search.trial_id" in run.data.tags]
    curves = [_curve(client, run) for run in runs]
    trials = pd.DataFrame([_row(run, len(curve)) for run, curve in zip(runs, curves, strict=True)])
    return Frames(_numbers(trials), pd.concat(curves, ignore_index=True) if curves else pd.DataFrame())


def _runs(client: MlflowClient, experiment_id: str, search: str | None) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        query = f"tags.`search.id` = '{search}'" if search else ""
        page = client.search_runs([experiment_id], query, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _row(run: Run, epochs: int) -> dict[str, object]:
    seconds = (run.info.end_time - run.info.start_time) / 1000 if run.info.end_time else float("nan")
    return {
        **_identity(run),
        "phase": run.data.tags["phase"],
        "outcome": run.data.tags.get("outcome", "running"),
        "epochs": epochs,
        "seconds": seconds,
        **{f"params.{key}": value for key, value in run.data.params.items()},
        **{f"metrics.{key}": value for key, value in run.data.metrics.items()},
    }


def _curve(client: MlflowClient, run: Run) -> pd.DataFrame:
    history = (
        (m.step, name, m.value) for name in run.data.metrics for m in client.get_metric_history(run.info.run_id, name)
    )
    long = pd.DataFrame(history, columns=["epoch", "metric", "value"])
    wide = long.pivot_table(index="epoch", columns="metric", values="value", dropna=False).reset_index()
    return wide.rename_axis(columns=None).assign(**_identity(run))


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
