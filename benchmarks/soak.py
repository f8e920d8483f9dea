"""A search of 2,000 very short trials: what grows in the driver, and what does not.

    python -m benchmarks.soak [--trials 2000] [--in-process]

Runs the search in this process as the command would, in a new folder, and records twice a second the driver's memory,
its open files and the part of the journal that MLflow (sqlite) has not heard of; and of each suggestion how long
it took. Prints the medians by quarter of the search, and draws docs/soak.png. Not a comparison: what is looked
at is whether the last quarter differs from the second.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import psutil
import yaml

from search.storage.layout import JOURNAL, Layout

PLOT = Path(__file__).parent.parent / "docs" / "soak.png"
SPEC = {
    "name": "soak",
    "data": "digits",
    "model": "mlp",
    "space": {
        "lr": {"loguniform": [1e-4, 1e-1]},
        "batch_size": {"choice": [32, 64]},
        "width": {"int": [4, 16]},
        "train_fraction": 0.1,
    },
    "scheduler": {"name": "none", "max_epochs": 1},
    "confirm": None,
}
MEASURES = {
    "memory": "driver's memory, MB",
    "files": "open files of the driver",
    "backlog": "journal not yet in MLflow, kB",
    "suggestion": "a suggestion, ms",
}


class Watch:
    """Samples of the driver, and the time of each suggestion, by the number of trials so far."""

    def __init__(self, folder: Path):
        self.folder, self.trials = folder, 0
        self.samples: list[dict[str, float]] = []
        self.suggestions: list[tuple[int, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Watch":
        from search.study.study import StudySearcher

        ask = StudySearcher.ask

        def timed(searcher: StudySearcher) -> object:
            began = time.perf_counter()
            asked = ask(searcher)
            self.suggestions.append((self.trials, 1e3 * (time.perf_counter() - began)))
            self.trials += asked is not None
            return asked

        StudySearcher.ask = timed  # type: ignore[method-assign, assignment]
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        driver = psutil.Process()
        while not self._over.wait(0.5):
            if self.trials:
                memory, files = driver.memory_info().rss / 2**20, driver.num_fds()
                self.samples.append(
                    {"trials": self.trials, "memory": memory, "files": files, "backlog": self._backlog()}
                )

    def _backlog(self) -> float:
        """kB of the journal that were not sent."""
        try:
            (journal,) = self.folder.glob(f"results/soak/*/{JOURNAL}")
            sent = json.loads(Layout(journal.parent).position.read_text())["offset"]
        except (ValueError, OSError):  # not there yet
            return 0.0
        return max(0, journal.stat().st_size - sent) / 1e3

    def points(self, measure: str) -> list[tuple[float, float]]:
        """(trials so far, value) in time."""
        if measure == "suggestion":
            return [(float(n), ms) for n, ms in self.suggestions]
        return [(s["trials"], s[measure]) for s in self.samples]


def main() -> None:
    """Run it, print the table, draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--in-process", action="store_true", help="without Ray")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.chdir(folder)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        Path("soak.yaml").write_text(yaml.safe_dump(SPEC | {"budget": {"trials": options.trials}}, sort_keys=False))
        backend = ["--in-process"] if options.in_process else ["--address", "local"]
        from search import run

        began = time.time()
        with Watch(Path(folder)) as watch:
            code = run.main(["soak.yaml", "--no-report", *backend])
        seconds = time.time() - began
    print(f"\nexit code {code}, {watch.trials} trials in {seconds:.0f} s, {watch.trials / seconds:.1f} trials a second")
    show(watch, options.trials)
    draw(watch)


def show(watch: Watch, trials: int) -> None:
    """The median of each measure by quarter of the search."""
    print("| quarter of the search | " + " | ".join(MEASURES.values()) + " |")
    print("|---" * (1 + len(MEASURES)) + "|")
    for quarter in range(4):
        low, high = quarter * trials / 4, (quarter + 1) * trials / 4
        cells = []
        for measure in MEASURES:
            values = [value for n, value in watch.points(measure) if low <= n < high]
            cells.append(f"{statistics.median(values):.3g}" if values else "")
        print(f"| {quarter + 1} | {' | '.join(cells)} |")


def draw(watch: Watch) -> None:
    """The four measures over the trials."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    for axes, (measure, title) in zip(figure.subplots(2, 2).flat, MEASURES.items(), strict=True):
        points = watch.points(measure)
        axes.plot([n for n, _ in points], [v for _, v in points], ".", markersize=2, color="#0072B2", alpha=0.5)
        axes.set(title=title, xlabel="trials", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.savefig(PLOT, dpi=110)
    print(f"drawn: {PLOT}")


if __name__ == "__main__":
    main()
