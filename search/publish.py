"""What is added to MLflow at the end of a search: its result, the spec, weights, the champion."""

import tempfile
from pathlib import Path
from typing import Any

from search.confirm import confirmed
from search.dataset import DataSource
from search.journal import Journal, leaders
from search.spec import Spec
from search.summary import protocol
from search.tracking import Tracker


def publish(tracker: Tracker, spec: Spec, journal: Journal, source: DataSource, folder: Path, status: str) -> None:
    """Close the parent run: best and confirmed metrics, tags, artifacts, and the registered model if one is named.

    Args:
        folder: the search's; its spec.yaml becomes an artifact.
        status: MLflow's, of the parent run.
    """
    client, parent = tracker.client, tracker.parent_id
    for name, value in _metrics(spec, journal).items():
        client.log_metric(parent, name, value)
    client.set_tag(parent, "protocol", protocol(spec))
    client.log_artifact(parent, str(folder / "spec.yaml"))
    if status == "FINISHED":
        _weights(tracker, spec, journal, folder)
        if spec.tracking.register_as:
            _register(tracker, spec, journal, source, folder)
    client.set_terminated(parent, status)


def _metrics(spec: Spec, journal: Journal) -> dict[str, float]:
    metric = spec.objective.metric
    searched = [r for r in journal.records.values() if r.phase == "search"]
    found: dict[str, float] = {"trials": len(searched), "search_seconds": journal.seconds}
    for c in confirmed(spec, journal)[:1]:
        for name in (metric, "test_accuracy"):
            found[f"confirmed_{name}_mean"] = c.mean(name)
            if (spread := c.spread(name)) is not None:
                found[f"confirmed_{name}_std"] = spread
    return found


def _weights(tracker: Tracker, spec: Spec, journal: Journal, folder: Path) -> None:
    """The weights of the best trials, and of the winner's confirmation runs, as artifacts of their runs."""
    import torch

    searched = [r for r in journal.records.values() if r.phase == "search"]
    best = leaders(searched, spec.objective.metric, spec.objective.maximize)[: spec.kept]
    runs = [*best, *(run for c in confirmed(spec, journal)[:1] for run in c.runs)]
    with tempfile.TemporaryDirectory() as temporary:
        for record in runs:
            state = torch.load(folder / "checkpoints" / f"{record.id}.pt", map_location="cpu", weights_only=True)
            path = Path(temporary) / "weights.pt"
            torch.save({"params": record.params, "model": state["model"]}, path)
            tracker.client.log_artifact(tracker.run_id(record.id), str(path))


def _register(tracker: Tracker, spec: Spec, journal: Journal, source: DataSource, folder: Path) -> None:
    """The winner as a model version with the alias `champion`: one that takes uint8 images and normalises them itself."""
    import mlflow
    import torch

    import trainables
    from trainables.config import TrainConfig
    from trainables.loader import normalization
    from trainables.predictor import Predictor
    from trainables.state import TrainState

    searched = [r for r in journal.records.values() if r.phase == "search"]
    found = confirmed(spec, journal)
    winner = found[0].runs[0] if found else leaders(searched, spec.objective.metric, spec.objective.maximize)[0]
    config, data = TrainConfig.of(winner.params), source.load()
    cpu = torch.device("cpu")
    state = TrainState.create(config, data.input_shape, len(data.classes), cpu)
    state.load(folder / "checkpoints" / f"{winner.id}.pt", cpu)
    model = Predictor(state.model, *normalization(data, config)).eval()
    mlflow.set_tracking_uri(tracker.uri)
    with mlflow.start_run(run_id=tracker.run_id(winner.id)):
        logged = mlflow.pytorch.log_model(
            model,
            name="model",
            registered_model_name=spec.tracking.register_as,
            code_paths=[str(Path(next(iter(trainables.__path__))))],
            pip_requirements=["torch", "torchvision", "numpy"],
        )
    version: Any = logged.registered_model_version
    tracker.client.set_registered_model_alias(spec.tracking.register_as, "champion", str(version))
