"""Made searches: the journal of a real session over a formula instead of training, sent by the real tracker."""

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from contract import record
from contract.events import CONFIRM, SEARCH, DriverStarted, Phase
from contract.metrics import VAL_ACCURACY, VAL_LOSS
from contract.steps import EpochDone
from search.journal.run_folder import SearchFolder
from search.orchestration import confirmation
from search.orchestration.proposers import ListProposer, StudyProposer
from search.orchestration.session import Session
from search.orchestration.session_config import SessionConfig
from search.orchestration.slots import Share, Slots
from search.preflight.dataset import find
from search.spec.loader import load
from search.spec.spec import Spec
from search.study.asha import Asha
from search.study.study import StudySearcher
from search.tracking import description
from search.tracking.tracker import Tracker
from search.trial.task import Task

SPACE = {
    "lr": {"loguniform": [1e-4, 1e-1]},
    "batch_size": {"choice": [32, 64, 128]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "momentum": {"uniform": [0.5, 0.99], "when": {"optimizer": "sgd"}},
    "decay_interval": {"int": [2, 10]},
}
TAGS = {
    record.COMMIT: "c0ffee0123456789", record.DIRTY: "false", record.HOST: "made", record.VERSIONS: "python 3",
}  # fmt: skip


def spec(folder: Path, **changes: object) -> Spec:
    """A spec over the digits; `changes` replace its sections."""
    content = {
        "name": "made", "data": {"name": "digits"}, "model": "lenet", "space": SPACE,
        "sampler": {"name": "random"}, "scheduler": {"name": "asha", "max_epochs": 9},
        "budget": {"trials": 30}, "confirm": {"top": 2, "seeds": 3}, **changes,
    }  # fmt: skip
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load(path)


def epochs(task: Task) -> Iterator[EpochDone]:
    """A trial's epochs: best at lr 0.01, a little better with adam and small batches; lr above 0.08 diverges."""
    p = task.params
    rng = np.random.default_rng([p["seed"], zlib.crc32(task.id.encode())])
    quality = math.exp(-((math.log10(p["lr"]) + 2) ** 2)) - 0.0005 * p["batch_size"]
    quality += 0.03 * (p["optimizer"] == "adam")
    best = 0.3 + 0.6 * max(0.0, quality) * p.get("train_fraction", 1.0) ** 0.2
    for epoch in range(1, p["epochs"] + 1):
        accuracy = min(0.999, best * (1 - 0.6 * math.exp(-epoch / 2)) + 0.01 * rng.standard_normal())
        diverged = p["lr"] > 0.08
        loss = math.nan if diverged else 2.4 * (1 - accuracy)
        metrics = {
            "train_loss": loss * 0.9, "train_accuracy": min(1, accuracy + 0.02 * epoch / 9),
            "val_loss": loss, "val_accuracy": math.nan if diverged else accuracy,
            "lr": p["lr"] * 0.1 ** (epoch // p["decay_interval"]),
            "epoch_seconds": 1 + 32 / p["batch_size"], "images_per_second": 10.0 * p["batch_size"],
            "peak_memory_mb": 300 + p["batch_size"],
        }  # fmt: skip
        yield EpochDone(epoch=epoch, metrics=metrics, finished=epoch == p["epochs"])


def with_margin(task: Task) -> Iterator[EpochDone]:
    """The same epochs with one metric more, which no module knows: the margin grows with the accuracy."""
    for done in epochs(task):
        yield replace(done, metrics={**done.metrics, "val_margin": 3 * done.metrics[VAL_ACCURACY] - 1})


Formula = Callable[[Task], Iterator[EpochDone]]


def drive(session: Session, formula: Formula, failing: frozenset[int] = frozenset()) -> None:
    """Run a session to its end."""
    while (task := session.next()) is not None:
        if session.journal.records[task.id].number in failing and session.config.phase == SEARCH:
            session.fail(task.id, "Traceback\nRuntimeError: out of <b>memory</b>")
            continue
        for done in formula(task):
            if session.config.score_test and done.finished:
                test = {"test_loss": done.metrics[VAL_LOSS], "test_accuracy": done.metrics[VAL_ACCURACY] - 0.01}
                done = replace(done, metrics={**done.metrics, **test})
            if not session.report(task.id, done):
                break


def search(
    spec: Spec,
    results: Path,
    data_dir: Path,
    uri: str,
    failing: frozenset[int] = frozenset(),
    formula: Formula = epochs,
) -> str:
    """Make a whole search with its confirmation and send it; its id."""
    source, data = find(spec.data, data_dir)
    folder = SearchFolder.open(results, spec, source, data, None)
    journal, files = folder.journal, folder.files
    journal.append(DriverStarted(resources="made"))

    def config(phase: Phase) -> SessionConfig:
        return SessionConfig(
            phase=phase, metric=spec.objective.metric, maximize=spec.objective.maximize, data=source,
            folder=folder.path, keep=spec.kept, slots=Slots.alone(spec.models, Share(0, 1)),
            classes=len(data.classes), score_test=phase == CONFIRM,
        )  # fmt: skip

    scheduler = Asha(spec.scheduler.rungs, spec.scheduler.reduction_factor, spec.objective.maximize)
    proposer = StudyProposer(StudySearcher(spec, files.study))
    drive(Session(config(SEARCH), journal, proposer, scheduler), formula, failing)
    confirming = ListProposer(confirmation.proposals(spec, journal), journal)
    drive(Session(config(CONFIRM), journal, confirming, Asha(())), formula)
    description.write(description.describe(spec, source, data, "made"), files.description)
    tags = {
        **TAGS, record.SEARCH_ID: folder.id, record.DATA: source.title, record.FINGERPRINT: data.fingerprint,
        record.DEVICE: "cpu",
    }  # fmt: skip
    tracker = Tracker(journal.path, uri, spec.name, tags, spec.objective.metric, [files.spec, files.description])
    if not tracker.close(600):
        raise ConnectionError(tracker.error)
    tracker.client.set_terminated(tracker.parent_id, "FINISHED")
    journal.close()
    return folder.id
