"""The names of MLflow's record, which the search writes and the analysis reads: tags, metrics, artifacts, metadata."""

from collections.abc import Mapping

SEARCH_ID = "search.id"
"""Tag of every run: the search that it belongs to."""
TRIAL_ID, TRIAL_NUMBER = "search.trial_id", "search.trial_number"
"""Tags of a trial's run; the search's own run, its parent, has none."""
SPEC_HASH, OUTSIDE = "search.spec_hash", "search.outside"
PHASE, SEED = "phase", "seed"
OUTCOME, REASON, STOPPED_AT_EPOCH = "outcome", "reason", "stopped_at_epoch"
MICRO_BATCH, LOST = "micro_batch", "lost"
DATA, FINGERPRINT, SUBSTITUTE_FOR = "data", "data.fingerprint", "data.substitute_for"
DEVICE, HOST, VERSIONS, DIRTY = "device", "host", "versions", "git.dirty"
COMMIT, SOURCE, SOURCE_TYPE, USER = (
    "mlflow.source.git.commit",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.user",
)
PARENT_RUN, NOTE = "mlflow.parentRunId", "mlflow.note.content"

TRIALS, SEARCH_SECONDS, TOTAL_SECONDS = "trials", "search_seconds", "total_seconds"
"""Metrics of the search's own run."""
BEST = "best_"
"""Before the objective's name: the search's own metric of the best value so far."""
MEAN, SPREAD = "_mean", "_std"
"""Endings of a metric's name: its mean and spread over the winner's confirmation runs."""

DESCRIPTION_FILE, SPEC_FILE = "search.json", "spec.yaml"
"""Artifacts of the search's own run, there from its start."""
REPORT_FOLDER, WEIGHTS_FILE = "report", "weights.pt"
RUN_NAME = "search "
"""Before the search's id: the name of its own run."""

FAILS_FAST = {
    # The client's own retries last minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    # It would print two lines at the end of every run, and a bar for each artifact.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Environment variables with which MLflow's client gives up after seconds and keeps quiet."""
LOGGERS = ("mlflow", "alembic")
"""Loggers that would tell of each retry and migration."""


def is_trial(tags: Mapping[str, str]) -> bool:
    """Whether a run's tags are those of a trial, not of the search itself."""
    return TRIAL_ID in tags


def boolean(value: bool) -> str:
    """True or false as a tag's text."""
    return str(value).lower()
