"""MLflow's record of a search: a projection of the journal, written behind the search's back.

A thread reads the journal from where it last got to, and sends what is new every few seconds: the
search never waits for the server, and what a server that is down has not heard is sent later, in
order. How far it got is kept beside the journal, so a resumed search sends the rest, and runs are found
again by their tags, so none is made twice.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.journal import Event, read
from search.outcomes import MLFLOW_STATUS, Outcome

INTERVAL = 2.0
"""Seconds between two batches."""
SQLITE = "sqlite:///"
DEFAULT_URI = f"{SQLITE}mlflow.db"
METRICS_A_CALL, PARAMS_A_CALL = 1000, 100
"""The most that MLflow takes in one log_batch."""
SETTINGS = {
    # The client's own retries last minutes; ours begin from the journal.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    # It would print two lines at the end of every run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment: tells MLflow's UI that it holds training runs, not traces of a language model."""

Log = Any
"""An mlflow.MlflowClient: mlflow is imported by the thread, for it takes seconds."""


class TrackingUnreachable(ConnectionError):
    """The tracking server does not answer, or refuses the experiment."""


def resolve_uri(uri: str | None) -> str:
    """The spec's tracking URI, else MLFLOW_TRACKING_URI, else a database in this folder; file paths absolute."""
    found = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    return f"{SQLITE}{Path(found.removeprefix(SQLITE)).absolute()}" if found.startswith(SQLITE) else found


def check(uri: str) -> None:
    """Make sure that the record can be written.

    Raises:
        TrackingUnreachable: with the reason.
    """
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
    elif uri.startswith(SQLITE):
        folder = Path(uri.removeprefix(SQLITE)).parent
        if not os.access(folder, os.W_OK):
            raise TrackingUnreachable(f"{folder} is not a folder that can be written to")
    else:
        raise TrackingUnreachable("only http(s):// servers and sqlite:/// files are supported")


def _check_server(uri: str) -> None:
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).read()  # noqa: S310 (http or https)
    except urllib.error.HTTPError as error:
        if error.code != 404:  # behind a proxy /health may not be there; 404 is an answer all the same
            raise TrackingUnreachable(f"the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise TrackingUnreachable(f"the server does not answer ({error})") from error


class Tracker:
    """Sends a journal to MLflow until it is closed."""

    def __init__(
        self,
        journal: Path,
        uri: str,
        experiment: str,
        tags: dict[str, str],
        first_metric: str,
        artifacts: Sequence[Path] = (),
    ):
        """Begin to send.

        Args:
            tags: of the parent run and of every trial's; `search.id`, `data` and `data.fingerprint` among them.
            first_metric: the one that MLflow's comparison shows unasked: it takes the first that was logged.
            artifacts: files of the parent run, there from the start.
        """
        self.uri, self.experiment, self.tags, self.artifacts = uri, experiment, tags, artifacts
        self.journal = journal
        self._first_metric = first_metric
        self.error: str | None = None
        """Why the last attempt to send failed, None when it did not."""
        self.experiment_id = self.parent_id = ""
        self._state_file = journal.with_name("tracking.json")
        self._offset = json.loads(self._state_file.read_text())["offset"] if self._state_file.exists() else 0
        self._runs: dict[str, str] = {}
        self._closing = threading.Event()
        self._client: Log = None
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> bool:
        """Whether the journal holds events that were not sent."""
        return self._offset < self.journal.stat().st_size

    def close(self, timeout: float) -> bool:
        """Send what is left, for `timeout` seconds at the most; whether all has been sent."""
        self._closing.set()
        self._thread.join(timeout)
        return not self.behind and not self._thread.is_alive()

    @property
    def client(self) -> Log:
        """The client, once connected."""
        return self._client

    def run_id(self, trial: str) -> str:
        """The MLflow run of a trial whose events were sent."""
        return self._runs[trial]

    def _work(self) -> None:
        pause = INTERVAL
        while True:
            closing = self._closing.is_set()
            try:
                self._connect()
                self._send()
                self.error, pause = None, INTERVAL
            except Exception as error:  # whatever a server, a proxy or a database can answer with
                self.error, pause = f"{type(error).__name__}: {error}".splitlines()[0], min(pause * 2, 30)
                if closing:
                    return
            if closing and not self.behind:
                return
            self._closing.wait(pause)

    def _connect(self) -> None:
        """Import mlflow, find or make the experiment and the parent run, and find the trials' runs."""
        if self.parent_id:
            return
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
            logging.getLogger(name).setLevel(logging.ERROR)
        self._client = MlflowClient(tracking_uri=self.uri)
        self.experiment_id = _experiment_id(self._client, self.experiment)
        found = self._found()
        parent = found.pop("", None)
        if parent is None:
            parent = self._create(f"search {self.tags['search.id']}", time.time(), {})
        else:
            self._client.update_run(parent, status="RUNNING")
        for path in self.artifacts:
            self._client.log_artifact(parent, str(path))
        self._runs = found
        self.parent_id = parent

    def _found(self) -> dict[str, str]:
        """The runs that this search has already, by trial; the parent run under the empty name."""
        runs: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                f"tags.`search.id` = '{self.tags['search.id']}'",
                max_results=1000,
                page_token=token,
            )
            runs |= {run.data.tags.get("search.trial_id", ""): run.info.run_id for run in page}
            token = page.token
            if not token:
                return runs

    def _create(self, name: str, started: float, tags: dict[str, str]) -> str:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        tags = {**self.tags, **tags}
        run = self._client.create_run(self.experiment_id, start_time=int(started * 1000), tags=tags, run_name=name)
        dataset = Dataset(tags["data"], tags["data.fingerprint"], "local", "{}")
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        self._client.log_inputs(run.info.run_id, [used])
        return run.info.run_id

    def _send(self) -> None:
        """Send every event up to the journal's end: runs begun, then a batch a run, then runs ended."""
        events = list(read(self.journal, self._offset))
        if not events:
            return
        batches: dict[str, list[Event]] = {}
        ends: dict[str, Event | None] = {}
        for event, _ in events:
            if event["event"] == "trial":
                self._begin(event)
                ends[event["id"]] = None
            elif event["event"] == "epoch":
                batches.setdefault(event["id"], []).append(event)
            elif event["event"] == "end":
                ends[event["id"]] = event
            elif event["event"] == "memory":
                self._client.set_tag(self._runs[event["id"]], "images_a_pass", str(event["images_a_pass"]))
            elif event["event"] == "best":
                self._client.log_metric(
                    self.parent_id, f"best_{event['metric']}", event["value"], int(event["time"] * 1000), event["trial"]
                )
        for trial, epochs in batches.items():
            self._log_metrics(self._runs[trial], epochs)
        for trial, end in ends.items():
            if end is not None:
                self._finish(self._runs[trial], end)
        self._offset = events[-1][1]
        temporary = self._state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps({"offset": self._offset}))
        temporary.replace(self._state_file)

    def _begin(self, event: Event) -> None:
        from mlflow.entities import Param

        trial = event["id"]
        if trial in self._runs:
            self._client.update_run(self._runs[trial], status="RUNNING")
            return
        tags = {
            "phase": event["phase"],
            "search.trial_number": str(event["number"]),
            "seed": str(event["params"]["seed"]),
            "search.trial_id": trial,
            "mlflow.parentRunId": self.parent_id,
        }
        run_id = self._create(trial, event["time"], tags)
        params = [Param(key, str(value)) for key, value in event["params"].items()]
        for i in range(0, len(params), PARAMS_A_CALL):
            self._client.log_batch(run_id, params=params[i : i + PARAMS_A_CALL])
        self._runs[trial] = run_id

    def _log_metrics(self, run_id: str, epochs: list[Event]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(event["time"] * 1000), int(event["metrics"]["epoch"]))
            for event in epochs
            for name, value in sorted(event["metrics"].items(), key=lambda item: item[0] != self._first_metric)
            if name != "epoch"
        ]
        for i in range(0, len(metrics), METRICS_A_CALL):
            self._client.log_batch(run_id, metrics=metrics[i : i + METRICS_A_CALL])

    def _finish(self, run_id: str, event: Event) -> None:
        from mlflow.entities import RunTag

        outcome = Outcome(event["outcome"])
        tags = {"outcome": str(outcome), "reason": event["reason"][:5000]}
        if outcome is Outcome.STOPPED:
            tags["stopped_at_epoch"] = str(event["epoch"])
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._client.set_terminated(run_id, MLFLOW_STATUS[outcome], int(event["time"] * 1000))


def _experiment_id(client: Log, name: str) -> str:
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
