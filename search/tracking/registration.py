"""The winner as a model that others can serve: a version of a registered model in MLflow."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np

from search.journal.journal import Journal
from search.journal.records import TrialRecord
from search.orchestration.confirmation import best, confirmed
from search.spec.spec import Spec
from search.storage.layout import Layout
from search.tracking.server import without_retries
from search.tracking.tracker import Tracker
from search.trial.data_source import DataSource
from trainables.image_data import ImageData

CHAMPION = "champion"
"""Alias of the version that won last."""


def register(tracker: Tracker, spec: Spec, journal: Journal, source: DataSource, files: Layout) -> None:
    """Register the winner under the name that the spec gives, as its champion; once, however often this is called.

    It takes uint8 images and normalises them itself. It is saved as a traced graph, which needs neither this project
    nor trust in a pickle to be loaded.
    """
    found = confirmed(spec, journal)
    winner = found[0].runs[0] if found else best(spec, journal)[0]
    name, run_id = spec.tracking.register_as, tracker.run_id(winner.id)
    known = [v for v in tracker.client.search_model_versions(f"run_id = '{run_id}'") if v.name == name]
    if known:  # by an earlier launch, or by a request whose answer was lost
        version = max(known, key=lambda v: int(v.version)).version
    else:
        version = _log(tracker, str(name), run_id, winner, source.load(), files)
    tracker.client.set_registered_model_alias(name, CHAMPION, version)


def _log(tracker: Tracker, name: str, run_id: str, winner: TrialRecord, data: ImageData, files: Layout) -> str:
    """Log the model to its run, registered; the version."""
    import mlflow

    mlflow.set_tracking_uri(tracker.uri)
    quiet = contextlib.redirect_stderr(io.StringIO())
    try:
        with without_retries(), mlflow.start_run(run_id=run_id), warnings.catch_warnings(), quiet:
            warnings.simplefilter("ignore")
            logged = mlflow.pytorch.log_model(
                _model(winner, data, files),
                name="model",
                registered_model_name=name,
                signature=_signature(data),
                input_example=data.test_images[:2].transpose(0, 3, 1, 2),
                pip_requirements=["torch", "numpy"],
            )
    finally:  # start_run opens it again, and closes it as failed if this did
        tracker.client.set_terminated(run_id, "FINISHED")
    return str(logged.registered_model_version)


def _model(winner: TrialRecord, data: ImageData, files: Layout) -> Any:
    import torch

    from trainables.config import TrainConfig
    from trainables.loader import normalization
    from trainables.predictor import Predictor
    from trainables.state import TrainState

    config, cpu = TrainConfig.from_params(winner.params), torch.device("cpu")
    state = TrainState.create(config, data.input_shape, len(data.classes), cpu)
    state.load(files.checkpoint(winner.id), cpu)
    return Predictor(state.model, *normalization(data, config), config.resize).eval()


def _signature(data: ImageData) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, *data.input_shape), "images")
    probabilities = TensorSpec(np.dtype(np.float32), (-1, len(data.classes)), "probabilities")
    return ModelSignature(Schema([images]), Schema([probabilities]))
