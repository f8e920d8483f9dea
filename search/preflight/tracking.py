"""Whether the record can be written to MLflow, checked before any trial begins."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from contract.formatting import first_line
from contract.locations import SQLITE, is_server
from contract.redaction import HIDDEN, redact
from search.tracking.server import connect

PROBE = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
"""The request that shows whether an MLflow server is there. It needs the credentials that all others need."""
TIMEOUT_S = 10
REMEDY = (
    "start it (mlflow server), correct the address, or set tracking.required: false to begin without it and send the "
    "record later"
)


class TrackingUnreachable(ConnectionError):
    """The tracking server does not answer or refuses the credentials, or the address is of no server or file."""

    def __init__(self, reason: str, remedy: str):
        """Keep the reason, without secrets.

        Args:
            reason: what is wrong.
            remedy: what to do.
        """
        self.reason = redact(reason)
        super().__init__(f"{self.reason}: {remedy}")


def check(uri: str) -> None:
    """Make sure that the record can be written.

    Raises:
        TrackingUnreachable: it cannot.
    """
    if is_server(uri):
        _check_server(uri)
    elif uri.startswith(SQLITE):
        folder = Path(uri.removeprefix(SQLITE)).parent
        if not os.access(folder, os.W_OK):
            raise TrackingUnreachable(f"{folder} is not a folder that can be written to", "create it, or name another")
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
            "it is no address that MLflow's client understands",
            "in a password write %40 for @, %2F for / and %23 for #",
        ) from error
    if parts.password == HIDDEN:
        raise TrackingUnreachable("the command was shown without the password", f"write it in place of {HIDDEN}")
    host = parts.netloc.rpartition("@")[2]
    probe = f"{parts.scheme}://{host}{parts.path.rstrip('/')}{PROBE}"
    try:
        urllib.request.urlopen(probe, timeout=TIMEOUT_S).read()  # noqa: S310 (http or https)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            _check_credentials(uri)
        elif error.code != 404:  # 404 is an answer too: there is no such experiment
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
        status = error.get_http_status_code()  # type: ignore[no-untyped-call]  # MLflow does not say its type
        if status == 401:
            raise TrackingUnreachable(
                "the server refuses the user name and password, or the token",
                "give them in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, in MLFLOW_TRACKING_TOKEN, "
                "or as http://USER:PASSWORD@HOST",
            ) from error
        raise TrackingUnreachable(first_line(error), REMEDY) from error
