"""What the tests start in processes of its own; importing this is cheap."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from trainables.cache import Decoded, cached

MEASURED = ("epoch_seconds", "images_per_second", "peak_memory_mb")
"""Metrics that are of the machine, not of the run."""
KILLED_IN_EPOCH = 2
TRAINING = {
    "epochs": 5,
    "batch_size": 16,
    "lr": 3e-3,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "augment": "flip+crop",
    "seed": 7,
}


def made(seed: int = 0) -> Decoded:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    labels = np.arange(6) % 2
    return Decoded(("a", "b"), images, labels, images[:2], labels[:2])


def counted(folder: Path) -> Decoded:
    """Decode, leaving a line in `folder/decodes`."""
    with open(folder / "decodes", "a") as log:
        log.write("once\n")
    return made()


def load_with_others(folder: Path, n: int) -> dict[str, bytes]:
    """Load while n processes do; none has decoded before all are there."""
    (folder / f"started-{os.getpid()}").touch()

    def decode() -> Decoded:
        wait_until(lambda: len(list(folder.glob("started-*"))) == n)
        time.sleep(0.2)
        return counted(folder)

    data = cached("made", [folder / "source"], decode)
    return {
        name: getattr(data, name).tobytes() for name in ("train_images", "train_labels", "test_images", "test_labels")
    }


def decode_for_ever(folder: Path) -> None:
    cached("made", [folder / "source"], lambda: _stay(folder))


class StuckWhenWritten(Decoded):
    """Cannot be written beyond its training images."""

    folder: Path

    def __getattribute__(self, name: str) -> Any:
        if name == "test_images":
            _stay(object.__getattribute__(self, "folder"))
        return object.__getattribute__(self, name)


def write_for_ever(folder: Path) -> None:
    StuckWhenWritten.folder = folder
    content = made()
    stuck = StuckWhenWritten(
        content.classes, content.train_images, content.train_labels, content.test_images, content.test_labels
    )
    cached("made", [folder / "source"], lambda: stuck)


def train_twice(folder: Path) -> None:
    """The run of TRAINING to its end, then once more to the middle of an epoch, where it waits to be killed.

    Of each run `<folder>/<run>/curve` gets a line of metrics an epoch, `<folder>/<run>/state` the state.
    """
    import torch
    from made_data import made_split

    from trainables.config import TrainConfig
    from trainables.loader import Loader
    from trainables.state import TrainState
    from trainables.training import train

    class StoppingLoader(Loader):
        def training(self, epoch: int):
            for i, batch in enumerate(super().training(epoch)):
                if run == "killed" and epoch == KILLED_IN_EPOCH and i == len(self) // 2:
                    _stay(folder)
                yield batch

    torch.set_num_threads(1)
    config, parts, device = TrainConfig.from_params(TRAINING), made_split(), torch.device("cpu")
    for run in ("whole", "killed"):
        state = TrainState.create(config, parts.data.input_shape, len(parts.data.classes), device)
        for metrics in train(config, StoppingLoader(parts, config, device), state):
            state.save(folder / run / "state")
            with open(folder / run / "curve", "a") as file:
                file.write(json.dumps(unmeasured(asdict(metrics))) + "\n")


def unmeasured(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in MEASURED}


def wait_until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.01)


def _stay(folder: Path) -> NoReturn:
    (folder / "stays").touch()
    while True:
        time.sleep(1)
