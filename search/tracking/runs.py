"""A search's runs in MLflow: one for it, one a trial. To tell MLflow anything a second time changes nothing.

Runs are found again by their tags before one is made. Equal values with equal times are one to MLflow.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contract import record
from contract.events import TrialEnded, TrialStarted
from contract.outcomes import MLFLOW_STATUS, Outcome
from search.tracking.pending import PARENT, Pending
from search.tracking.server import Client, connect

METRICS_A_CALL, PARAMS_A_CALL = 850, 100
"""What one log_batch takes of each; MLflow takes 1,000 of everything together."""
MAX_TAG_CHARACTERS = 5000
"""What MLflow takes of a tag's text."""

MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment: tells MLflow's UI that it holds training runs, not traces of a language model."""


class SearchRuns:
    """The runs of one search."""

    def __init__(self, uri: str, experiment: str, tags: dict[str, str], on_answer: Callable[[], None]):
        """Connect to nothing yet.

        Args:
            uri: the address of MLflow's record.
            experiment: the name of MLflow's experiment.
            tags: those that every run has.
            on_answer: called after each answer of the server.
        """
        self.uri, self.experiment, self.tags, self._on_answer = uri, experiment, tags, on_answer
        self.client: Client = None
        self.ids: dict[str, str] = {}
        """The ids of MLflow's runs by trial, the search's own under PARENT."""
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
            self.ids[PARENT] = self._create(f"{record.RUN_NAME}{self.tags[record.SEARCH_ID]}", time.time(), {})
        self._log_data_set(self.ids[PARENT])
        for path in artifacts:
            self.client.log_artifact(self.ids[PARENT], str(path))
            self._on_answer()
        self._opened = self.ids[PARENT]

    def find(self) -> None:
        """Find the runs by their tags; of two of one trial, which a lost answer can leave, keep one."""
        found: dict[str, Any] = {}
        query = f"tags.`{record.SEARCH_ID}` = '{self.tags[record.SEARCH_ID]}'"
        token = None
        while True:
            page = self.client.search_runs([self._experiment_id], query, max_results=1000, page_token=token)
            self._on_answer()
            for run in page:
                trial = run.data.tags.get(record.TRIAL_ID, PARENT)
                if trial in found:
                    run, double = sorted((run, found[trial]), key=self._written, reverse=True)
                    self.client.set_terminated(double.info.run_id, "KILLED")
                    self.client.delete_run(double.info.run_id)
                found[trial] = run
            token = page.token
            if not token:
                break
        self.ids = {trial: run.info.run_id for trial, run in found.items()}

    def write(self, trial: str, pending: Pending) -> None:
        """Make the trial's run if there is none, and add to it."""
        run = self.ids.get(trial)
        if pending.begin:
            if run is None:
                run = self.ids[trial] = self._create(trial, pending.begin.time, self._trial_tags(pending.begin))
            elif not pending.end:
                self.client.update_run(run, status="RUNNING")
            self._log_data_set(run)
        if run is None:  # its beginning was lost with a damaged line of the journal
            return
        self._log(run, pending)
        if pending.end:
            status = MLFLOW_STATUS[pending.end.outcome]
            self.client.set_terminated(run, status, int(pending.end.time * 1000))
            self._on_answer()

    def _written(self, run: Any) -> tuple[bool, int, int]:
        """How much hangs on a run."""
        return run.info.run_id in self.ids.values(), len(run.data.metrics), len(run.data.params)

    def _create(self, name: str, started: float, tags: dict[str, str]) -> str:
        tags = {**self.tags, **tags}
        run = self.client.create_run(self._experiment_id, start_time=int(started * 1000), tags=tags, run_name=name)
        self._on_answer()
        return str(run.info.run_id)

    def _log_data_set(self, run: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(self.tags[record.DATA], self.tags[record.FINGERPRINT], "local", "{}")
        self.client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self._on_answer()

    def _log(self, run: str, pending: Pending) -> None:
        """Parameters, metrics and tags: in one request, as far as MLflow takes them."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, str(value)) for key, value in (pending.begin.params if pending.begin else {}).items()]
        metrics = [Metric(*metric) for metric in pending.metrics]
        said = pending.tags | (_end_tags(pending.end) if pending.end else {})
        tags = [RunTag(key, value) for key, value in said.items()]
        while params or metrics or tags:
            self.client.log_batch(run, metrics[:METRICS_A_CALL], params[:PARAMS_A_CALL], tags)
            self._on_answer()
            metrics, params, tags = metrics[METRICS_A_CALL:], params[PARAMS_A_CALL:], []

    def _trial_tags(self, begin: TrialStarted) -> dict[str, str]:
        return {
            record.PHASE: begin.phase,
            record.TRIAL_NUMBER: str(begin.number),
            record.SEED: str(begin.params["seed"]),
            record.TRIAL_ID: begin.id,
            record.PARENT_RUN: self.ids[PARENT],
        }


def _end_tags(end: TrialEnded) -> dict[str, str]:
    stopped = {record.STOPPED_AT_EPOCH: str(end.epoch)} if end.outcome is Outcome.STOPPED else {}
    return {record.OUTCOME: str(end.outcome), record.REASON: end.reason[:MAX_TAG_CHARACTERS], **stopped}


def _experiment_id(client: Client, name: str) -> str:
    """Find or create the experiment; of two drivers that create it at once one is told that it exists."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, tags=MODEL_TRAINING))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)
