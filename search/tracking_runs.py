"""A search's runs in MLflow: one for it, one a trial. To tell MLflow anything a second time changes nothing.

Runs are found again by their tags before one is made. Equal values with equal times are one to MLflow.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from search.journal import Event
from search.outcomes import MLFLOW_STATUS, Outcome
from search.tracking_server import Client, connect
from search.unsent import PARENT, Unsent

METRICS_A_CALL, PARAMS_A_CALL = 850, 100
"""Of one log_batch; MLflow takes 1,000 of everything together."""

MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment: tells MLflow's UI that it holds training runs, not traces of a language model."""


class SearchRuns:
    """The runs of one search."""

    def __init__(self, uri: str, experiment: str, tags: dict[str, str], heard: Callable[[], None]):
        """Args: tags: of every run; heard: called after answers of the server."""
        self.uri, self.experiment, self.tags, self._heard = uri, experiment, tags, heard
        self.client: Client = None
        self.ids: dict[str, str] = {}
        """By trial; the search's own under PARENT."""
        self._opened = ""

    def open(self, artifacts: Sequence[Path]) -> None:
        """Find or make the experiment and the search's own run, and find those of the trials."""
        self.client = self.client or connect(self.uri)
        self._experiment_id = _experiment_id(self.client, self.experiment)
        self.find()
        if self._opened and self._opened == self.ids.get(PARENT):
            return
        if PARENT in self.ids:
            self.client.update_run(self.ids[PARENT], status="RUNNING")
        else:
            self.ids[PARENT] = self._create(f"search {self.tags['search.id']}", time.time(), {})
        self._log_data_set(self.ids[PARENT])
        for path in artifacts:
            self.client.log_artifact(self.ids[PARENT], str(path))
            self._heard()
        self._opened = self.ids[PARENT]

    def find(self) -> None:
        """Find the runs by their tags; of two of one trial, which a lost answer can leave, keep one."""
        found: dict[str, Any] = {}
        query = f"tags.`search.id` = '{self.tags['search.id']}'"
        token = None
        while True:
            page = self.client.search_runs([self._experiment_id], query, max_results=1000, page_token=token)
            self._heard()
            for run in page:
                trial = run.data.tags.get("search.trial_id", PARENT)
                if trial in found:
                    run, double = sorted((run, found[trial]), key=self._written, reverse=True)
                    self.client.set_terminated(double.info.run_id, "KILLED")
                    self.client.delete_run(double.info.run_id)
                found[trial] = run
            token = page.token
            if not token:
                break
        self.ids = {trial: run.info.run_id for trial, run in found.items()}

    def tell(self, trial: str, unsent: Unsent) -> None:
        """Make the trial's run if there is none, and add to it."""
        run = self.ids.get(trial)
        if unsent.begin:
            if run is None:
                run = self.ids[trial] = self._create(trial, unsent.begin["time"], self._trial_tags(unsent.begin))
            elif not unsent.end:
                self.client.update_run(run, status="RUNNING")
            self._log_data_set(run)
        if run is None:  # its beginning was lost with a damaged line of the journal
            return
        self._log(run, unsent)
        if unsent.end:
            status = MLFLOW_STATUS[Outcome(unsent.end["outcome"])]
            self.client.set_terminated(run, status, int(unsent.end["time"] * 1000))
            self._heard()

    def _written(self, run: Any) -> tuple[bool, int, int]:
        """How much hangs on a run."""
        return run.info.run_id in self.ids.values(), len(run.data.metrics), len(run.data.params)

    def _create(self, name: str, started: float, tags: dict[str, str]) -> str:
        tags = {**self.tags, **tags}
        run = self.client.create_run(self._experiment_id, start_time=int(started * 1000), tags=tags, run_name=name)
        self._heard()
        return run.info.run_id

    def _log_data_set(self, run: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(self.tags["data"], self.tags["data.fingerprint"], "local", "{}")
        self.client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self._heard()

    def _log(self, run: str, unsent: Unsent) -> None:
        """Parameters, metrics and tags: in one request, as far as MLflow takes them."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, str(value)) for key, value in (unsent.begin["params"] if unsent.begin else {}).items()]
        metrics = [Metric(*metric) for metric in unsent.metrics]
        said = unsent.tags | (_end_tags(unsent.end) if unsent.end else {})
        tags = [RunTag(key, value) for key, value in said.items()]
        while params or metrics or tags:
            self.client.log_batch(run, metrics[:METRICS_A_CALL], params[:PARAMS_A_CALL], tags)
            self._heard()
            metrics, params, tags = metrics[METRICS_A_CALL:], params[PARAMS_A_CALL:], []

    def _trial_tags(self, begin: Event) -> dict[str, str]:
        return {
            "phase": begin["phase"],
            "search.trial_number": str(begin["number"]),
            "seed": str(begin["params"]["seed"]),
            "search.trial_id": begin["id"],
            "mlflow.parentRunId": self.ids[PARENT],
        }


def _end_tags(end: Event) -> dict[str, str]:
    outcome = Outcome(end["outcome"])
    stopped = {"stopped_at_epoch": str(end["epoch"])} if outcome is Outcome.STOPPED else {}
    return {"outcome": str(outcome), "reason": end["reason"][:5000], **stopped}


def _experiment_id(client: Client, name: str) -> str:
    """Find or create the experiment; of two drivers that create it at once one is told that it exists."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, tags=MODEL_TRAINING)
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment.experiment_id
