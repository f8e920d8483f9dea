"""What a search costs beside its training, and against what people use instead.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.overhead --data-dir DIR [--rounds 3] [--trials 24] [--only ours,tune]

LeNet on a tenth of CIFAR-10 for two epochs, 24 trials, two at a time, lr x batch size x optimizer, successive halving
after the first epoch, every run to one real MLflow server over HTTP. In turn, each in a new folder and process:
  ours       python -m search.run
  tune       stock Ray Tune: OptunaSearch, ASHAScheduler, MLflowLoggerCallback
  threads    Optuna alone, n_jobs=2, with its MLflow callback
  processes  Optuna alone, two processes on one study, with its MLflow callback
  syne       Syne Tune's local backend, ASHA (it has no MLflow callback, and logs nothing there)
All but ours train with `benchmarks/peers/usual_script.py`, which saves no checkpoints; ours saves one an epoch. The
same images train and validate. Told are: seconds from the command to the first step, for ours also over those of
`ray.init` and `import torch`; the wall time from the first step to the last epoch's end, and to the command's, times
two cores, over the training time of the epochs; trials an hour, start-up included; seconds from the command until a
trial reached `--accuracy`.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from benchmarks.in_turn import in_turn, machine, ratios, spread
from contract.events import EpochEnded, TrialEnded
from search.journal.journal import read
from search.storage.layout import JOURNAL
from tests.servers import TrackingServer, free_port
from trainables.datasets import cifar10
from trainables.split import split

ROOT = Path(__file__).parent.parent
CORES = 2
SPEC = {
    "name": "overhead",
    "data": {"name": "cifar10", "validation": 0.1},
    "model": "lenet",
    "space": {
        "lr": {"loguniform": [1e-4, 1e-1]},
        "batch_size": {"choice": [32, 64, 128]},
        "optimizer": {"choice": ["adam", "sgd"]},
        "train_fraction": 0.1,
        "schedule": "constant",
    },
    "scheduler": {"name": "asha", "max_epochs": 2, "grace_period": 1, "reduction_factor": 3},
    "resources": {"cpu": 1},
    "confirm": None,
}
PEERS = {
    "tune": ("tune_stock",),
    "threads": ("optuna_alone", "threads"),
    "processes": ("optuna_alone", "processes"),
    "syne": ("syne_tune_local",),
}
START = "import ray; ray.init('local', include_dashboard=False, log_to_driver=False); import torch"


@dataclass(frozen=True)
class Epoch:
    """One epoch of one trial; seconds since 1970."""

    began: float
    ended: float
    accuracy: float


@dataclass(frozen=True)
class Search:
    """One contestant's search."""

    began: float
    ended: float
    trials: int
    epochs: list[Epoch]

    @property
    def start_up(self) -> float:
        """Seconds from the command to the first training step."""
        return min(e.began for e in self.epochs) - self.began

    @property
    def overhead(self) -> float:
        """Core seconds from the first step to the last epoch's end, over those of training."""
        return CORES * (max(e.ended for e in self.epochs) - self.began - self.start_up) / self._training

    @property
    def overhead_to_end(self) -> float:
        """Core seconds from the first step to the command's end, over those of training."""
        return CORES * (self.ended - self.began - self.start_up) / self._training

    @property
    def _training(self) -> float:
        return sum(e.ended - e.began for e in self.epochs)

    @property
    def trials_an_hour(self) -> float:
        """Start-up and end included."""
        return 3600 * self.trials / (self.ended - self.began)

    def until(self, accuracy: float) -> float:
        """Seconds from the command until an epoch had reached it; infinite if none did."""
        return min((e.ended for e in self.epochs if e.accuracy >= accuracy), default=np.inf) - self.began


class Contest:
    """Runs contestants, each round with another seed."""

    def __init__(self, images: Path, data_dir: Path, trials: int, server: str):
        self.images, self.data_dir, self.trials, self.server = images, data_dir, trials, server
        self.found: dict[str, list[Search]] = {}

    def run(self, name: str) -> float:
        """One contestant's search; the seconds it took."""
        seed = len(self.found.setdefault(name, []))
        with tempfile.TemporaryDirectory(prefix=f"overhead-{name}-") as folder:
            search = self._ours(Path(folder), seed) if name == "ours" else self._peer(name, Path(folder), seed)
        self.found[name].append(search)
        print(f"  {name}: {search.ended - search.began:.1f} s, {len(search.epochs)} epochs", file=sys.stderr)
        return search.ended - search.began

    def _ours(self, folder: Path, seed: int) -> Search:
        content = SPEC | {"budget": {"trials": self.trials}, "sampler": {"name": "tpe", "seed": seed}}
        (folder / "overhead.yaml").write_text(yaml.safe_dump(content))
        command = ["search.run", "overhead.yaml", "--no-report", "--address", "local", "--data-dir", str(self.data_dir)]
        began, ended = self._timed(command, folder, {})
        (journal,) = folder.glob(f"results/overhead/*/{JOURNAL}")
        events = [event for event, _ in read(journal)]
        epochs = [
            Epoch(e.time - e.metrics["epoch_seconds"], e.time, e.metrics["val_accuracy"])
            for e in events
            if isinstance(e, EpochEnded)
        ]
        return Search(began, ended, sum(isinstance(e, TrialEnded) for e in events), epochs)

    def _peer(self, name: str, folder: Path, seed: int) -> Search:
        module, *arguments = PEERS[name]
        times = folder / "times.jsonl"
        environment = {"PEER_IMAGES": str(self.images), "PEER_TIMES": str(times), "PEER_SEED": str(seed)}
        command = [f"benchmarks.peers.{module}", str(self.trials), *arguments]
        began, ended = self._timed(command, folder, environment)
        epochs = [Epoch(**json.loads(line)) for line in times.read_text().splitlines()]
        return Search(began, ended, self.trials, epochs)

    def _timed(self, command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
        environment = os.environ | environment | {"MLFLOW_TRACKING_URI": self.server, "PYTHONPATH": str(ROOT)}
        environment["SYNETUNE_FOLDER"] = str(folder)
        with (folder / "out.log").open("w") as log:
            began = time.time()
            code = subprocess.run(
                [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=log, stderr=log
            ).returncode
            ended = time.time()
        if code:
            sys.exit(f"{command[0]} failed:\n{(folder / 'out.log').read_text()[-3000:]}")
        return began, ended


def images(data_dir: Path, folder: Path) -> Path:
    """The images that all train and validate on, for the peers' script."""
    data = cifar10.load(data_dir)
    parts = split(data, validation=0.1, train_fraction=0.1, seed=0)
    chosen = {
        f"{part}_{what}": getattr(data, f"train_{what}")[indices]
        for part, indices in (("train", parts.train), ("validation", parts.validation))
        for what in ("images", "labels")
    }
    np.savez(folder / "images.npz", **chosen)
    return folder / "images.npz"


def start_of_ray() -> float:
    """Seconds of a process that starts Ray and imports torch."""
    began = time.time()
    subprocess.run([sys.executable, "-c", START], check=True, capture_output=True)
    return time.time() - began


def main() -> None:
    """Run all in turn, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--accuracy", type=float, default=0.35, help="of validation, that the clock is stopped at")
    parser.add_argument("--only", default=",".join(["ours", *PEERS]), help="contestants, joined by commas")
    options = parser.parse_args()
    options.data_dir = options.data_dir.absolute()
    print(f"{machine()}; {options.trials} trials, {options.rounds} rounds in turn\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="overhead-") as name, contextlib.ExitStack() as stack:
        server = TrackingServer(Path(name), free_port())
        server.start()
        stack.callback(server.stop)
        contest = Contest(images(options.data_dir, Path(name)), options.data_dir, options.trials, server.uri)
        contestants: dict[str, Callable[[], float]] = {"start": start_of_ray}
        contestants |= {name: lambda name=name: contest.run(name) for name in options.only.split(",")}
        measured = in_turn(contestants, options.rounds)
    show(contest.found, measured["start"], options.accuracy)


def show(found: dict[str, list[Search]], start: list[float], accuracy: float) -> None:
    """The table, and ours against each."""
    print("| contestant | first step, s | cores / training | to the end | trials an hour | s to accuracy | best, % |")
    print("|---|---|---|---|---|---|---|")
    for name, searches in found.items():
        best = statistics.median(max(e.accuracy for e in s.epochs) for s in searches)
        columns = [
            [s.start_up for s in searches],
            [s.overhead for s in searches],
            [s.overhead_to_end for s in searches],
            [s.trials_an_hour for s in searches],
            [s.until(accuracy) for s in searches],
        ]
        print(f"| {name} | {' | '.join(map(spread, columns))} | {100 * best:.1f} |")
    if "ours" not in found:
        return
    ours = found["ours"]
    print(f"\nstart-up of ours / ray.init and import torch: {spread(ratios([s.start_up for s in ours], start))}")
    for name in (name for name in found if name != "ours"):
        rate = ratios([s.trials_an_hour for s in ours], [s.trials_an_hour for s in found[name]])
        sooner = ratios([s.until(accuracy) for s in found[name]], [s.until(accuracy) for s in ours])
        print(f"against {name}: {spread(rate)} times the trials an hour, {accuracy:.0%} {spread(sooner)} times sooner")


if __name__ == "__main__":
    main()
