"""Where MLflow's record goes: its address, whether it can be written there, and how MLflow's client behaves."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from search.lasting import lasting
from trainables.errors import first_line
from trainables.redaction import HIDDEN, redact

SQLITE = "sqlite:///"
DEFAULT_FILE = "mlflow.db"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
SETTINGS = {
    # The client's own retries last minutes; the tracker's begin from the journal.
    RETRIES: "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    # It would print two lines at the end of every run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
QUESTION = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
"""What an MLflow server is asked to see whether it is there: as a door that is shut answers, so would all others."""
REMEDY = (
    "start it (mlflow server), correct the address, or set tracking.required: false to begin without it and send the "
    "record later"
)

Client = Any
"""An mlflow.MlflowClient: mlflow is imported where it is used, for it takes seconds."""


class TrackingUnreachable(ConnectionError):
    """The tracking server does not answer, or refuses; or the address is of none."""

    def __init__(self, reason: str, remedy: str):
        self.reason = redact(reason)
        super().__init__(f"{self.reason}: {remedy}")


def resolve_uri(uri: str | None) -> str:
    """The spec's tracking URI, else MLFLOW_TRACKING_URI, else a database in this folder; file paths absolute."""
    found = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{lasting(DEFAULT_FILE)}"
    return f"{SQLITE}{Path(found.removeprefix(SQLITE)).absolute()}" if found.startswith(SQLITE) else found


def is_server(uri: str) -> bool:
    """Whether the record goes over HTTP: to a server, which may come back when it is away."""
    return uri.startswith(("http://", "https://"))


def connect(uri: str) -> Client:
    """A client that gives up after seconds and keeps quiet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def unrepeated() -> Iterator[None]:
    """Keep MLflow's client from repeating requests: what makes something new would make it twice if the answer is lost.

    The setting is the process's: it is for one thread that lets no other create something meanwhile.
    """
    before = os.environ.get(RETRIES)
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        os.environ.pop(RETRIES)
        if before is not None:
            os.environ[RETRIES] = before


def check(uri: str) -> None:
    """Make sure that the record can be written.

    Raises:
        TrackingUnreachable: with the reason.
    """
    if is_server(uri):
        _check_server(uri)
    elif uri.startswith(SQLITE):
        folder = Path(uri.removeprefix(SQLITE)).parent
        if not os.access(folder, os.W_OK):
            raise TrackingUnreachable(f"{folder} is not a folder that can be written to", "make it, or name another")
    else:
        raise TrackingUnreachable("only http(s):// servers and sqlite:/// files are supported", "correct the address")


def _check_server(uri: str) -> None:
    import urllib.error
    import urllib.request

    parts = urlsplit(uri)
    try:
        _ = parts.port
    except ValueError as error:
        raise TrackingUnreachable(
            "no address that MLflow's client understands", "in a password write %40 for @, %2F for / and %23 for #"
        ) from error
    if parts.password == HIDDEN:
        raise TrackingUnreachable("the command was shown without the password", f"write it in place of {HIDDEN}")
    host = parts.netloc.rpartition("@")[2]
    question = f"{parts.scheme}://{host}{parts.path.rstrip('/')}{QUESTION}"
    try:
        urllib.request.urlopen(question, timeout=10).read()  # noqa: S310 (http or https)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            _check_credentials(uri)
        elif error.code != 404:  # no such experiment, yet an answer
            raise TrackingUnreachable(f"the server answers {error.code} {error.reason}", REMEDY) from error
    except (OSError, ValueError) as error:
        raise TrackingUnreachable(f"the server does not answer ({error})", REMEDY) from error


def _check_credentials(uri: str) -> None:
    """Ask as MLflow's client does, with what it takes from the address, the environment and its files."""
    client = connect(uri)
    from mlflow.exceptions import MlflowException

    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        if error.get_http_status_code() == 401:
            raise TrackingUnreachable(
                "the server refuses the user name and password, or the token",
                "give them in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, in MLFLOW_TRACKING_TOKEN, "
                "or as http://USER:PASSWORD@HOST",
            ) from error
        raise TrackingUnreachable(first_line(error), REMEDY) from error
