"""What is added to MLflow at the end of a search: its result, weights, the champion, the report."""

import tempfile
import time
from pathlib import Path

from contract import record
from contract.events import SEARCH
from contract.formatting import amount, mean_and_spread
from contract.metrics import TEST_ACCURACY
from search.journal.journal import Journal
from search.journal.run_folder import SearchFolder
from search.orchestration.confirmation import best, confirmed
from search.spec.spec import Spec
from search.storage.layout import Layout
from search.tracking.registration import register
from search.tracking.tracker import Tracker
from search.trial.data_source import DataSource


def publish(tracker: Tracker, spec: Spec, journal: Journal, source: DataSource, files: Layout, status: str) -> None:
    """Close the parent run: best and confirmed metrics, tags, artifacts, and the registered model if one is named.

    Args:
        tracker: sends the record; all events were sent.
        spec: the search.
        journal: its events.
        source: its data set.
        files: of the search; they hold the checkpoints.
        status: MLflow's, of the parent run.
    """
    from mlflow.entities import Metric, RunTag

    client, parent, now = tracker.client, tracker.parent_id, int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in _metrics(spec, journal).items()]
    client.log_batch(parent, metrics, tags=[RunTag(record.NOTE, _note(spec, journal, source))])
    client.set_terminated(parent, status)
    if status == "FINISHED" and best(spec, journal):
        _weights(tracker, spec, journal, files)
        if spec.tracking.register_as:
            register(tracker, spec, journal, source, files)


def attach_report(tracker: Tracker, folder: SearchFolder, data_dir: Path) -> Path:
    """Write the search's report from its record in MLflow, and attach it to the parent run.

    Returns:
        The page, in the search's folder.

    Raises:
        AnalysisError: the record cannot be read.
    """
    from analysis import record as analysis_record
    from analysis import report_page

    found = analysis_record.load(folder.id, tracking_uri=tracker.uri, data_dir=data_dir)
    path = report_page.make(found, folder.files.report)
    tracker.client.log_artifacts(tracker.parent_id, str(path.parent), record.REPORT_FOLDER)
    return path


def _note(spec: Spec, journal: Journal, source: DataSource) -> str:
    """The run's description in MLflow's UI, Markdown: the confirmed settings, or the best so far."""
    metric, found, ranked = spec.objective.metric, confirmed(spec, journal), best(spec, journal)
    if not ranked:
        return f"{source.title}. No trial has finished."
    params = found[0].params if found else ranked[0].params
    lines = [f"**{source.title}**. {spec.protocol}", "", "| setting | value |", "|---|---|"]
    lines += [f"| {p.key} | {params[p.key]} |" for p in spec.space.parameters if p.key in params]
    lines += [f"| best {metric} of a trial | {amount(metric, ranked[0].last[metric])} |"]
    for name in (metric, TEST_ACCURACY):
        lines += [
            f"| confirmed {name} | {mean_and_spread(name, c.values(name))}, n = {len(c.runs)} |" for c in found[:1]
        ]
    return "\n".join(lines)


def _metrics(spec: Spec, journal: Journal) -> dict[str, float]:
    metric = spec.objective.metric
    found: dict[str, float] = {
        record.TRIALS: len(journal.trials(SEARCH)),
        record.SEARCH_SECONDS: journal.search_seconds,
        record.TOTAL_SECONDS: journal.seconds,
    }
    for c in confirmed(spec, journal)[:1]:
        for name in (metric, TEST_ACCURACY):
            found[f"{name}{record.MEAN}"] = c.mean(name)
            if (spread := c.spread(name)) is not None:
                found[f"{name}{record.SPREAD}"] = spread
    return found


def _weights(tracker: Tracker, spec: Spec, journal: Journal, files: Layout) -> None:
    """The weights of the best trials, and of the winner's confirmation runs, as artifacts of their runs."""
    import torch

    from trainables.checkpoint_file import DamagedCheckpoint
    from trainables.state import read

    runs = [*best(spec, journal)[: spec.kept], *(run for c in confirmed(spec, journal)[:1] for run in c.runs)]
    with tempfile.TemporaryDirectory() as temporary:
        for trial in runs:
            checkpoint = files.checkpoint(trial.id)
            if not checkpoint.exists():  # `confirm.top` was raised after the search had let it go
                continue
            try:
                state = read(checkpoint, torch.device("cpu"))
            except DamagedCheckpoint as error:
                tracker.client.set_tag(tracker.run_id(trial.id), record.LOST, str(error))
                continue
            path = Path(temporary) / record.WEIGHTS_FILE
            torch.save({"params": trial.params, "model": state["model"]}, path)
            tracker.client.log_artifact(tracker.run_id(trial.id), str(path))
