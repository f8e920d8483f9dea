"""Searches that are killed again and again, in every way, at random moments: nothing is missing or double then."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from conftest import TrackingServer, free_port, write_spec
from searches import Search, assert_whole

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("CHAOS_SEED", "0"))
EPOCHS, TRIALS = 12, 12
MIXED = 40
"""Trials of the mixed chaos: enough that the search lasts for all of its faults."""


def spec_in(folder: Path, name: str, trials: int) -> Path:
    return write_spec(
        folder / f"{name}.yaml",
        space={"lr": {"loguniform": [1e-4, 1e-2]}, "batch_size": 8},
        sampler={"name": "tpe", "seed": 0},
        scheduler={"name": "none", "max_epochs": EPOCHS},
        budget={"trials": trials},
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


def epochs(search: Search) -> int:
    return sum(len(r.epochs) for r in search.records().values())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_driver_is_ended_twenty_times_over_one_search(number: signal.Signals, tmp_path: Path, server):
    """In this process's own engine, so that a moment is as likely to be at the start as in an epoch or a save."""
    print(f"CHAOS_SEED={SEED}")
    random, search = Random(SEED), Search(tmp_path, spec_in(tmp_path, "killed", TRIALS), server.uri)
    for _ in range(20):
        began = search.state is not None and (search.state / "data.json").exists()
        process, before = search.start(*(["--resume"] if began else []), ray=False), epochs(search)
        if random.random() < 0.7:
            search.until(process, lambda records, n=before: sum(len(r.epochs) for r in records.values()) > n)
            time.sleep(random.uniform(0, 1.5))
        else:
            time.sleep(random.uniform(0.2, 5))
        assert process.poll() is None, process.stdout.read()
        process.send_signal(number)
        output = process.communicate()[0]
        assert "Traceback" not in output, output
    print(f"20 times, at {epochs(search)} of {TRIALS * EPOCHS} epochs")
    process = search.start("--resume", ray=False)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert_whole(search, "killed", TRIALS, EPOCHS, tmp_path)


class Chaos:
    """Does one random thing after another to a search on Ray."""

    def __init__(self, search: Search, server: TrackingServer, random: Random):
        self.search, self.server, self.random = search, server, random
        self.done: Counter[str] = Counter()
        self.process: subprocess.Popen | None = None

    def fault(self) -> None:
        """One fault, once the search has gone on by an epoch since the last."""
        if self.process is None or self.process.poll() is not None:
            self.process = self.search.start(*(["--resume"] if self.search.state is not None else []))
        before = epochs(self.search)
        self.search.until(self.process, lambda records: sum(len(r.epochs) for r in records.values()) > before)
        time.sleep(self.random.uniform(0, 2))
        kind = self.random.choice(["worker", "workers", "raylet", "SIGKILL", "SIGTERM", "SIGINT", "server"])
        print(f"{time.strftime('%H:%M:%S')} {kind} at {epochs(self.search)} epochs", flush=True)
        self.done[kind] += 1
        if kind == "server":
            self.server.stop()
            time.sleep(self.random.uniform(1, 10))
            self.server.start()
        elif kind == "raylet":
            os.kill(self.search.raylet(self.process), signal.SIGKILL)
        elif kind in ("worker", "workers"):
            pids = self.search.workers(self.process)
            for pid in pids[: 1 if kind == "worker" else None]:
                os.kill(pid, signal.SIGKILL)
        else:
            self.process.send_signal(signal.Signals[kind])
            output = self.process.communicate()[0]
            assert "Traceback" not in output, output


@pytest.mark.ray
def test_faults_of_every_kind_mixed(tmp_path: Path, server: TrackingServer):
    print(f"CHAOS_SEED={SEED}")
    search = Search(tmp_path, spec_in(tmp_path, "chaos", MIXED), server.uri)
    chaos = Chaos(search, server, Random(SEED))
    try:
        for _ in range(8):
            chaos.fault()
        print(dict(chaos.done))
        if chaos.process.poll() is not None:
            chaos.process = search.start("--resume")
        output = search.finish(chaos.process)
        assert chaos.process.returncode == 0, output
    finally:
        chaos.process.kill()
    assert_whole(search, "chaos", MIXED, EPOCHS, tmp_path)
