"""What a sampler should be told of a diverged trial: `python -m benchmarks.diverged [--samplers tpe cmaes] [--real]`.

Three ways, each over the same seeds: pruned, the last value not a number (what `search/searcher.py` does);
complete, with the worst possible value; failed. Searches of a formula whose best settings lie at the edge of
a region that diverges, and with `--real` LeNet on the digits with sgd and learning rates up to 1,000. Prints the
median over seeds of how many trials diverged and of the best value found.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState

from contract.outcomes import Outcome
from contract.steps import EpochDone, StepResult
from search.journal.journal import Journal
from search.journal.records import TrialRecord, best_first
from search.orchestration.phases import Phases
from search.orchestration.proposers import StudyProposer
from search.orchestration.session import Session
from search.orchestration.session_config import SessionConfig
from search.orchestration.slots import Share, Slots
from search.preflight import dataset
from search.spec.loader import parse
from search.spec.spec import Spec
from search.storage.layout import Layout
from search.study.asha import Asha
from search.study.study import StudySearcher
from search.trial.runner import TrialRun
from search.trial.task import Task

LIMIT = 0.5
"""Steps larger than this, lr / (1 - momentum), diverge in the formula; a third of it is best."""
RANGES: dict[str, Any] = {"lr": {"loguniform": [1e-5, 1e2]}, "momentum": {"uniform": [0.5, 0.99]}}
SPACES: dict[str, dict[str, Any]] = {
    "cliff": {**RANGES, "optimizer": "sgd"},
    "conditional": {
        "optimizer": {"choice": ["sgd", "adam"]},
        "lr": RANGES["lr"],
        "momentum": {**RANGES["momentum"], "when": {"optimizer": "sgd"}},
    },
    "digits": {"lr": {"loguniform": [1e-4, 1e3]}, "optimizer": "sgd", "batch_size": 64, "train_fraction": 0.5},
}


class Complete(StudySearcher):
    """Tells a diverged trial as a complete one with the worst accuracy."""

    def tell(self, record: TrialRecord) -> None:
        """The end of a trial."""
        if record.outcome is Outcome.DIVERGED:
            self.study.tell(record.number, 0.0, TrialState.COMPLETE)
        else:
            super().tell(record)


class Failed(StudySearcher):
    """Tells a diverged trial as a failed one."""

    def tell(self, record: TrialRecord) -> None:
        """The end of a trial."""
        if record.outcome is Outcome.DIVERGED:
            self.study.tell(record.number, None, TrialState.FAIL)
        else:
            super().tell(record)


WAYS = {"pruned, nan": StudySearcher, "complete, worst": Complete, "failed": Failed}


def formula(task: Task) -> Iterator[StepResult]:
    """A made trial; the closer to the edge, the later it diverges."""
    p = task.params
    rng = np.random.default_rng([p["seed"], int(task.id.rpartition("-")[2])])
    step = p["lr"] / (1 - p["momentum"]) if p["optimizer"] == "sgd" else p["lr"] * 30
    beyond = math.log10(step / LIMIT)
    best = 0.9 * math.exp(-(((beyond + math.log10(3)) / 1.2) ** 2))
    for epoch in range(1, p["epochs"] + 1):
        diverged = beyond > 0 and epoch > 6 * (1 - beyond)
        accuracy = best * (1 - 0.6 * math.exp(-epoch / 2)) + 0.01 * rng.standard_normal()
        loss = math.nan if diverged else 2.3 * (1 - accuracy)
        metrics = {"train_loss": loss, "val_loss": loss, "val_accuracy": accuracy}
        yield EpochDone(epoch=epoch, metrics=metrics, finished=epoch == p["epochs"])


def training(task: Task) -> Iterator[StepResult]:
    """A real trial in this process."""
    run = TrialRun(task)
    while True:
        yield run.step()


def spec_of(space: str, sampler: str, seed: int, trials: int) -> Spec:
    """A search of one of the spaces."""
    content = {
        "name": space, "data": "digits", "model": "lenet", "space": SPACES[space],
        "sampler": {"name": sampler, "seed": seed}, "budget": {"trials": trials},
        "scheduler": {"max_epochs": 9}, "confirm": None,
    }  # fmt: skip
    spec, problems = parse(content, "diverged.yaml", {})
    assert not problems, problems
    return spec


def search(
    spec: Spec, searcher: type[StudySearcher], folder: Path, trial: Callable[[Task], Iterator[StepResult]]
) -> tuple[int, float]:
    """How many trials diverged, and the best value found."""
    journal = Journal(Layout(folder).journal)
    source, data = dataset.find(spec.data, folder)
    setting = SessionConfig(
        phase="search", metric="val_accuracy", maximize=True, data=source, classes=len(data.classes), folder=folder,
        keep=1, slots=Slots.alone(spec.models, Share(0, 1)),
    )  # fmt: skip
    asha = Asha(spec.scheduler.rungs, spec.scheduler.reduction_factor)
    proposer = StudyProposer(searcher(spec, Layout(folder).study))
    phases = Phases(s for s in [Session(setting, journal, proposer, asha)])
    while (task := phases.next()) is not None:
        for result in trial(task):
            if not phases.report(task.id, result):
                break
    records = journal.trials("search")
    journal.close()
    best = best_first(records, "val_accuracy", maximize=True)
    return sum(r.outcome is Outcome.DIVERGED for r in records), best[0].last["val_accuracy"] if best else 0.0


def compare(space: str, sampler: str, seeds: int, trials: int, trial: Callable[[Task], Iterator[StepResult]]) -> None:
    """Print a line a way; the ways take turns within each seed."""
    found: dict[str, list[tuple[int, float]]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way, searcher in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[way].append(search(spec_of(space, sampler, seed, trials), searcher, Path(folder), trial))
    for way, results in found.items():
        diverged, best = zip(*results, strict=True)
        low, median, high = np.percentile(best, [10, 50, 90])
        print(
            f"{space:<12} {sampler:<6} {way:<16} diverged {statistics.median(diverged):5.1f} of {trials} "
            f"(mean {statistics.fmean(diverged):5.1f})  best {median:.4f} "
            f"(10..90 %: {low:.4f}..{high:.4f})  n = {seeds}",
            flush=True,
        )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diverged", description=__doc__)
    parser.add_argument("--samplers", nargs="+", default=["tpe", "cmaes"], choices=["tpe", "cmaes", "gp"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--real", action="store_true", help="train LeNet on the digits, for 3 seeds")
    options = parser.parse_args()
    if options.real:
        compare("digits", "tpe", 3, 25, training)
        return
    for sampler in options.samplers:
        for space in ("cliff", "conditional"):
            if (space, sampler) != ("conditional", "cmaes"):  # which cannot search conditional keys
                compare(space, sampler, options.seeds, options.trials, formula)


if __name__ == "__main__":
    main()
