"""bfloat16 against float32 on this CPU: accuracy by seed, and images a second.

    python -m benchmarks.precision --data-dir DIR [--seeds 3] [--only resnet9]

Each model is trained with both precisions in turn on the same seeds, on a part of its data set; what is told is the
difference of the last validation accuracies, seed by seed, and the ratio of images a second.
"""

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.in_turn import machine, ratios, spread
from trainables import named_dataset
from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.split import default_validation, split
from trainables.state import EpochMetrics, TrainState
from trainables.training import train

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cifar10", {"model": "lenet", "train_fraction": 0.2, "epochs": 15, "decay_interval": 10}),
    ("cifar10", {"model": "fashionnet", "train_fraction": 0.1, "epochs": 8}),
    ("cifar10", {"model": "resnet9", "train_fraction": 0.05, "epochs": 6}),
    ("digits_mat", {"model": "mlp", "epochs": 15, "optimizer": "sgd", "lr": 0.05, "batch_size": 64}),
)
"""Data set, hyperparameters."""


def main() -> None:
    """Train all, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="one model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}\n")
    print("| model | float32, % | bfloat16, % | difference by seed | images a second, ratio |\n|---|---|---|---|---|")
    for name, params in (case for case in CASES if options.only in (None, case[1]["model"])):
        plain, mixed = [], []
        for seed in range(options.seeds):
            for precision, found in (("float32", plain), ("bfloat16", mixed)):
                found.append(_trained(name, options.data_dir, params | {"precision": precision, "seed": seed}))
        accuracies = [[100 * m.val_accuracy for m in found] for found in (plain, mixed)]
        differences = " ".join(f"{b - a:+.2f}" for a, b in zip(*accuracies, strict=True))
        speed = ratios([m.images_per_second for m in mixed], [m.images_per_second for m in plain])
        means = " | ".join(f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}" for values in accuracies)
        print(f"| {params['model']} | {means} | {differences} | {spread(speed)} |", flush=True)


def _trained(name: str, root: Path, params: dict[str, Any]) -> EpochMetrics:
    """The last epoch's metrics."""
    config = TrainConfig.from_params(params)
    data = named_dataset.load(name, root, {})
    parts = split(data, validation=default_validation(data), train_fraction=config.train_fraction, seed=0)
    device = torch.device("cpu")
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    *_, last = train(config, Loader(parts, config, device), state)
    return last


if __name__ == "__main__":
    main()
