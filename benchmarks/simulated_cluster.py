"""How busy 64 slots are kept: a search of sleeping trials on 8 machines of 8 slots, of which some die and one joins.

    python -m benchmarks.simulated_cluster [--nodes 8] [--slots 8] [--trials 2000]     (Linux, as root)

The machines are namespaces of this one with addresses and processes of their own (tests/hosts.py); Ray, Tune, Optuna's
TPE, ASHA, the journal, and a tracking server over HTTP are real, and share this machine's cores with all 64 workers.
Only the training is not: an epoch is a sleep of 6 to 8 seconds, a trial 1 to 4 epochs. After a third and after half of
the trials a machine is killed, and at two thirds a new one joins.

Printed is the part of the slots that were asleep in an epoch, by the second, in the steady state: from when nine in ten
were busy for the first time until the last trial was proposed. Slots of a machine count until it is killed, and again
from when the driver says that the new one has joined. Drawn is docs/simulated_cluster.png.
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import yaml

from benchmarks.in_turn import machine
from contract.events import EpochEnded, Event, TrialEnded, TrialStarted
from search.journal.journal import read
from search.storage.layout import JOURNAL

PLOT = Path(__file__).parent.parent / "docs" / "simulated_cluster.png"
SPEC = {
    "name": "simulation",
    "data": "digits",
    "model": "lenet",
    "space": {
        "lr": {"loguniform": [1e-4, 1e-1]},
        "batch_size": {"choice": [32, 64, 128]},
        "optimizer": {"choice": ["adam", "sgd"]},
        "decay_interval": {"int": [2, 10]},
    },
    "scheduler": {"name": "asha", "max_epochs": 4, "grace_period": 1, "reduction_factor": 2},
    "resources": {"retries": 0},
    "confirm": None,
}


def drive(arguments: list[str]) -> int:
    """The driver's process: a search, with sleep for training."""
    import search.backends.cluster  # noqa: F401 (first: it sets what Ray reads when it is imported)
    from search import run
    from search.backends import ray_tune

    ray_tune.TuneTrial = _fake_trial()  # type: ignore[misc, assignment]
    return run.main(arguments)


def _fake_trial() -> type:
    """Imported after the tuner, whose settings Ray Tune reads when it is imported."""
    from benchmarks.fake_trial import FakeTrial

    return FakeTrial


class Simulation:
    """One search on a cluster, watched from outside."""

    def __init__(self, folder: Path, nodes: int, slots: int, trials: int):
        self.folder, self.nodes, self.slots, self.trials = folder, nodes, slots, trials
        self.changes: list[tuple[float, int]] = []
        """The time since when there are so many slots."""
        self.memory: list[tuple[float, float]] = []
        """(time, MB) of the driver."""

    def run(self) -> str:
        """Until the search has ended; what it printed."""
        from benchmarks.fake_trial import FOLDER
        from tests.hosts import Cluster

        with contextlib.closing(Cluster(self.folder / "hosts")) as cluster:
            cluster.open()
            tracking = cluster.serve_mlflow()
            shared = {FOLDER: str(self.folder), "MLFLOW_TRACKING_URI": tracking.uri}
            shared["SEARCH_STORAGE"] = str(self.folder / "storage")
            # Ray starts as many workers ahead as there are CPUs, and each machine here would.
            # The memory is that of all 8, and each would take the others' for its own.
            shared |= {"RAY_enable_worker_prestart": "0", "RAY_memory_monitor_refresh_ms": "0"}
            head = cluster.add("0", cpus=self.slots, **shared)
            for number in range(1, self.nodes):
                cluster.add(str(number), cpus=self.slots, **shared)
            cluster.ready(self.nodes)
            print(f"{self.nodes} nodes are there", file=sys.stderr, flush=True)
            spec = self.folder / "simulation.yaml"
            spec.write_text(yaml.safe_dump(SPEC | {"budget": {"trials": self.trials}}, sort_keys=False))
            command = ["-m", "benchmarks.simulated_cluster", "--driver", str(spec), "--no-report"]
            driver = head.start(sys.executable, *command, "--address", cluster.address, log="driver.log", **shared)
            log = head.folder / "driver.log"
            self._change(self.nodes)
            self._until(driver, lambda: self._ended(log) > self.trials // 3)
            cluster.hosts["1"].kill()
            self._change(self.nodes - 1)
            self._until(driver, lambda: self._ended(log) > self.trials // 2)
            cluster.hosts["2"].kill()
            self._change(self.nodes - 2)
            self._until(driver, lambda: self._ended(log) > 2 * self.trials // 3)
            cluster.add("new", cpus=self.slots, **shared)
            self._until(driver, lambda: "has joined" in log.read_text())
            self._change(self.nodes - 1)
            self._until(driver, lambda: False)
            return log.read_text()

    def _change(self, nodes: int) -> None:
        self.changes.append((time.time(), nodes * self.slots))

    def _until(self, driver: subprocess.Popen, condition: Callable[[], bool]) -> None:
        while driver.poll() is None and not condition():
            with contextlib.suppress(psutil.Error):
                processes = psutil.Process(driver.pid).children(recursive=True)
                self.memory.append((time.time(), max((p.memory_info().rss for p in processes), default=0) / 2**20))
            time.sleep(0.5)

    @staticmethod
    def _ended(log: Path) -> int:
        counted = re.findall(r"(\d+)/\d+  trial-", log.read_text())
        return int(counted[-1]) if counted else 0

    def busy(self) -> list[tuple[float, float, int]]:
        """For each second its beginning, the slots in an epoch on the average, and the slots that there are."""
        lines = (line for path in self.folder.glob("steps-*.jsonl") for line in path.read_text().splitlines())
        steps = [json.loads(line) for line in lines]
        first = min(step["began"] for step in steps)
        seconds = [0.0] * (int(max(step["ended"] for step in steps) - first) + 1)
        for step in steps:
            began, ended = step["began"] - first, step["ended"] - first
            for second in range(int(began), int(ended) + 1):
                seconds[second] += max(0.0, min(ended, second + 1) - max(began, second))
        return [(first + n, value, self._slots_at(first + n)) for n, value in enumerate(seconds)]

    def _slots_at(self, moment: float) -> int:
        return [slots for since, slots in self.changes if since <= moment or since == self.changes[0][0]][-1]

    def events(self) -> list[Event]:
        """The journal."""
        (path,) = self.folder.glob(f"storage/simulation/*/{JOURNAL}")
        return [event for event, _ in read(path)]


def steady(busy: Sequence[tuple[float, float, int]], last_start: float) -> list[tuple[float, float, int]]:
    """From when nine in ten slots were busy for the first time until the last trial was proposed."""
    full = next(moment for moment, slots, there in busy if slots >= 0.9 * there)
    return [second for second in busy if full <= second[0] < last_start]


def report(simulation: Simulation, seconds: float) -> None:
    """Print what was measured."""
    events = simulation.events()
    starts = [e.time for e in events if isinstance(e, TrialStarted)]
    ends = [e for e in events if isinstance(e, TrialEnded)]
    epochs = [e.time for e in events if isinstance(e, EpochEnded)]
    within = steady(simulation.busy(), starts[-1])
    parts = [slots / there for _, slots, there in within]
    whole = sum(s for _, s, _ in within) / sum(t for _, _, t in within)
    outcomes = dict(Counter(e.outcome for e in ends))
    print(f"{len(ends)} trials ({outcomes}), {len(epochs)} epochs in {seconds:.0f} s, commands and ramp included")
    print(f"trials that were begun again because their machine died: {len(starts) - len(ends)}")
    print(
        f"steady state, {len(parts)} s: {100 * whole:.1f} % of the slots in an epoch; by the second median "
        f"{100 * statistics.median(parts):.1f} %, 5 % of the seconds below {100 * quantile(parts, 0.05):.1f} %"
    )
    rate = len([e for e in epochs if within[0][0] <= e < within[-1][0]]) / len(within)
    print(f"results a second: {rate:.1f}; driver's memory at the most: {max(mb for _, mb in simulation.memory):.0f} MB")


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which this part of the values lies."""
    return sorted(values)[int(part * len(values))]


def draw(simulation: Simulation) -> None:
    """The slots over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    busy = simulation.busy()
    first = busy[0][0]
    minutes = [(moment - first) / 60 for moment, _, _ in busy]
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    axes.fill_between(minutes, [slots for _, slots, _ in busy], step="post", color="#56b4e9", label="in an epoch")
    axes.step(minutes, [there for _, _, there in busy], where="post", color="#333333", label="there are")
    axes.set(xlabel="minutes since the first epoch began", ylabel="slots", ylim=(0, None), xlim=(0, minutes[-1]))
    axes.legend(loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, dpi=130)
    print(f"drawn: {PLOT}")


def main() -> None:
    """Run it, print the figures, draw the plot."""
    if sys.argv[1:2] == ["--driver"]:
        sys.exit(drive(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulated_cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--slots", type=int, default=8, help="of each node")
    parser.add_argument("--trials", type=int, default=2000)
    options = parser.parse_args()
    from tests.hosts import hindrance

    if why := hindrance():
        sys.exit(why)
    print(f"{machine()}; {options.nodes} nodes of {options.slots} slots, {options.trials} trials", flush=True)
    with tempfile.TemporaryDirectory(prefix="simulation-", dir="/var/tmp") as folder:
        simulation = Simulation(Path(folder), options.nodes, options.slots, options.trials)
        began = time.time()
        output = simulation.run()
        print("\n".join(line for line in output.splitlines() if "node" in line or "waiting" in line or "error" in line))
        report(simulation, time.time() - began)
        draw(simulation)


if __name__ == "__main__":
    main()
