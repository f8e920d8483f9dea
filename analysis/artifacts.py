"""Artifacts of MLflow's runs, fetched when they are asked for."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis.errors import Missing
from contract.formatting import first_line


def fetcher(client: MlflowClient) -> Callable[[str, str], Path]:
    """Make a function that fetches an artifact of a run (run id, path), and raises Missing where there is none.

    The files are in a temporary folder that lives as long as the function does.
    """
    folder = tempfile.TemporaryDirectory(prefix="analysis-")

    def fetch(run_id: str, path: str) -> Path:
        place = Path(folder.name) / run_id
        place.mkdir(exist_ok=True)
        try:
            return Path(client.download_artifacts(run_id, path, str(place)))
        except (MlflowException, OSError) as error:
            raise Missing(f"{path} of run {run_id} cannot be fetched from MLflow: {first_line(error)}.") from error

    return fetch
