"""The bookkeeping of a large search without any training: what a suggestion and a result cost, and a resume.

    python -m benchmarks.scale [--trials 1000 10000] [--sampler tpe]

Drives a search's session, searcher, scheduler, journal and tracker as a backend does, 16 trials at a time, with
made-up metrics: no Ray, no torch in workers. Successive halving ends two trials in three after the first of three
epochs. The tracker writes to a real sqlite database in its thread, as in a search. Then a second driver resumes the
search. A trial's start is what a free worker waits for; from the 200th on it was prepared while all were busy.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.in_turn import machine
from contract.events import DriverStarted
from contract.steps import EpochDone
from search.journal.journal import Journal
from search.orchestration.phases import Phases
from search.orchestration.proposers import StudyProposer
from search.orchestration.session import Session
from search.orchestration.session_config import SessionConfig
from search.orchestration.slots import Share, Slots
from search.preflight import dataset
from search.spec.loader import load
from search.spec.spec import Spec
from search.storage.layout import Layout
from search.study.asha import Asha
from search.study.study import StudySearcher
from search.trial.task import Task

CONCURRENT = 16
SPEC = """
name: scale
data: digits
model: lenet
space:
  lr: {{loguniform: [1e-4, 1e-1]}}
  batch_size: {{choice: [32, 64, 128]}}
  optimizer: {{choice: [adam, sgd]}}
  momentum: {{uniform: [0.8, 0.99], when: {{optimizer: sgd}}}}
  decay_interval: {{int: [2, 10]}}
sampler: {{name: {sampler}, seed: 0}}
scheduler: {{name: asha, max_epochs: 3, grace_period: 1, reduction_factor: 3}}
budget: {{trials: {trials}}}
confirm: null
"""


class Driver:
    """A search's driver as far as its book-keeping goes."""

    def __init__(self, spec: Spec, folder: Path):
        from search.tracking.tracker import Tracker

        began = time.perf_counter()
        self.spec, self.folder = spec, folder
        self.journal = Journal(Layout(folder).journal)
        self.journal.append(DriverStarted(resources="benchmark", concurrent=CONCURRENT, command_time=time.time()))
        source, data = dataset.find(spec.data, folder)
        setting = SessionConfig(
            phase="search", metric=spec.objective.metric, maximize=True, data=source, classes=len(data.classes),
            folder=folder, keep=0, slots=Slots({"lenet": Share(0, 1)}, [], CONCURRENT, elastic=True),
        )  # fmt: skip
        searcher = StudySearcher(spec, Layout(folder).study)
        searcher.reconcile(self.journal.trials("search"))
        asha = Asha(spec.scheduler.rungs, spec.scheduler.reduction_factor, maximize=True)
        session = Session(setting, self.journal, StudyProposer(searcher), asha)
        self.phases = Phases(s for s in [session])
        self.started = time.perf_counter() - began
        """Seconds until the first trial could start."""
        self.tracker = Tracker(
            self.journal.path, f"sqlite:///{folder}/mlflow.db", spec.name,
            {"search.id": "scale", "data": data.name, "data.fingerprint": data.fingerprint},
            first_metric=spec.objective.metric,
        )  # fmt: skip
        self.suggestions: list[float] = []
        self.starts: list[float] = []
        asked = searcher.ask

        def timed() -> object:
            before = time.perf_counter()
            configuration = asked()
            self.suggestions.append(time.perf_counter() - before)
            return configuration

        searcher.ask = timed  # type: ignore[method-assign, assignment]
        self.results: list[float] = []

    def run(self) -> float:
        """Until all trials have ended; the seconds it took."""
        began, running = time.perf_counter(), list[Iterator[EpochDone]]()
        tasks: dict[Iterator[EpochDone], Task] = {}
        while True:
            while (task := self._next()) is not None:
                running.append(_metrics(task))
                tasks[running[-1]] = task
            if not running:
                return time.perf_counter() - began
            curve = running.pop(0)
            before = time.perf_counter()
            continues = self.phases.report(tasks[curve].id, next(curve))
            self.results.append(time.perf_counter() - before)
            if continues:
                running.append(curve)

    def _next(self) -> Task | None:
        before = time.perf_counter()
        task = self.phases.next()
        if task is not None:
            self.starts.append(time.perf_counter() - before)
        return task

    def drain(self) -> float:
        """Seconds until the tracker has sent the rest."""
        began = time.perf_counter()
        if not self.tracker.close(60):
            raise RuntimeError(f"not all was sent: {self.tracker.error}")
        return time.perf_counter() - began


def _metrics(task: Task) -> Iterator[EpochDone]:
    rng = random.Random(task.id)
    best = 0.9 - abs(task.params["lr"] - 0.01) - 0.1 * rng.random()
    for epoch in range(1, 4):
        accuracy = best * (1 - 0.5**epoch)
        metrics = {
            "train_loss": 1 - accuracy, "train_accuracy": accuracy, "val_loss": 1 - accuracy,
            "val_accuracy": accuracy, "lr": task.params["lr"], "epoch_seconds": 1.0, "images_per_second": 1e3,
            "peak_memory_mb": 1e2,
        }  # fmt: skip
        yield EpochDone(epoch=epoch, metrics=metrics, finished=epoch == 3)


def main() -> None:
    """Run the sizes one after the other, print a row each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--sampler", default="tpe")
    options = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    print(f"{machine()}; sampler {options.sampler}, {CONCURRENT} trials at a time\n")
    print(
        "| trials | a suggestion, ms: median, 95 % | of the last tenth | a start | a result | trials a second", end=""
    )
    print(" | results a second | driver, MB | study + journal, MB | tracker drained after, s | resume, s |")
    print("|---" * 11 + "|")
    for trials in options.trials:
        print(row(trials, options.sampler), flush=True)


def row(trials: int, sampler: str) -> str:
    """One search of this size, in a new folder."""
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        (folder / "scale.yaml").write_text(SPEC.format(sampler=sampler, trials=trials))
        spec = load(folder / "scale.yaml")
        driver = Driver(spec, folder)
        seconds = driver.run()
        memory = psutil.Process().memory_info().rss / 2**20
        drained = driver.drain()
        driver.journal.close()
        size = sum(file.stat().st_size for file in (Layout(folder).study, Layout(folder).journal)) / 1e6
        again = Driver(spec, folder)
        again.drain()
        again.journal.close()
    last = driver.suggestions[-len(driver.suggestions) // 10 :]
    return (
        f"| {trials:,} | {_ms(driver.suggestions)} | {_ms(last)} | {_ms(driver.starts)} | {_ms(driver.results)} "
        f"| {trials / seconds:.1f} "
        f"| {len(driver.results) / sum(driver.results):.0f} | {memory:.0f} | {size:.1f} | {drained:.1f} "
        f"| {again.started:.1f} |"
    )


def _ms(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.1f}, {1e3 * statistics.quantiles(seconds, n=20)[-1]:.1f}"


if __name__ == "__main__":
    main()
