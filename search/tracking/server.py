"""How MLflow's client behaves: it gives up after seconds, and repeats nothing that makes something new."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from contract.record import FAILS_FAST, LOGGERS

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"

Client = Any
"""An mlflow.MlflowClient: mlflow is imported where it is used, for it takes seconds."""


def connect(uri: str) -> Client:
    """A client that gives up after seconds and keeps quiet; the tracker's own retries begin from the journal."""
    for name, value in FAILS_FAST.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for name in LOGGERS:  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def without_retries() -> Iterator[None]:
    """Keep MLflow's client from repeating requests: one that makes something would make it twice if an answer is lost.

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
