"""Images a second of the trainer on CIFAR-10, against the limit and against the usual script.

    python -m benchmarks.throughput --data-dir DIR [--rounds 3] [--threads 1] [--only lenet] [--no-script]

In turn, in one process:
  ours     the training part of one epoch of `trainables.train`: loading, augmentation, normalisation, forward,
           backward, step and metrics
  limit    forward, backward and step on one batch that is in memory already, nothing else. The faster of torch's
           two memory layouts, and of the plain, the foreach and the fused optimizer
  script   what people write: torchvision's transforms on PIL images, a DataLoader with 0 and with 2 workers, the loss
           read at each step. Its workers have the other cores to themselves
Ratios are of medians over the rounds, the spread that of the ratios within a round. The evaluation is measured
the same way: against forward passes of a batch in memory.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.in_turn import in_turn, machine, ratios, spread
from benchmarks.peers.usual_script import Images, train_epoch
from trainables import named_model
from trainables.config import TrainConfig
from trainables.datasets import cifar10
from trainables.evaluate import evaluate
from trainables.image_data import ImageData
from trainables.loader import Loader
from trainables.split import split
from trainables.state import TrainState
from trainables.training import train

CASES = (
    ("lenet", 32, "none"), ("lenet", 128, "none"), ("lenet", 512, "none"),
    ("lenet", 32, "flip+crop"), ("lenet", 128, "flip+crop"), ("lenet", 512, "flip+crop"),
    ("fashionnet", 128, "none"), ("resnet9", 128, "none"), ("vgg16", 128, "none"),
)  # fmt: skip
"""Model, batch size, augmentation."""
SHARE = {"lenet": 1.0, "fashionnet": 0.2, "resnet9": 0.04, "vgg16": 0.02}
"""Part of an epoch that is measured: a whole one where that takes seconds."""
MEASURED = 6400
"""Images at the most that each form of the limit's loop is measured on."""
WARM_UP = 3
"""Steps of the limit's loop that are not counted."""


class Case:
    """One model at one batch size with one augmentation; each method is images a second of one way to train it."""

    def __init__(self, data: ImageData, model: str, batch_size: int, augment: str):
        self.config = TrainConfig(model=model, batch_size=batch_size, augment=augment, lr=1e-3, optimizer="sgd")
        self.data, self.device = data, torch.device("cpu")
        self.parts = split(data, validation=0.1, train_fraction=SHARE[model], seed=0)

    def ours(self) -> float:
        """The platform's trainer, as it measures itself."""
        loader = Loader(self.parts, self.config, self.device)
        return next(train(self.config, loader, self._state())).images_per_second

    def limit(self) -> float:
        """The fastest plain loop over a batch in memory."""
        return max(
            self._loop(memory_format, kind)
            for memory_format in (torch.contiguous_format, torch.channels_last)
            for kind in ({"fused": True}, {"foreach": True}, {"foreach": False})
        )

    def script(self, workers: int) -> float:
        """The usual script."""
        augmentation = [v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4)]
        chosen = self.parts.train
        data = Images(
            self.data.train_images[chosen],
            self.data.train_labels[chosen],
            *augmentation if self.config.augment != "none" else (),
        )
        loader = DataLoader(data, self.config.batch_size, shuffle=True, num_workers=workers)
        model = named_model.build(self.config.model, self.data.input_shape, len(self.data.classes), {})
        optimizer = torch.optim.SGD(model.parameters(), self.config.lr, self.config.momentum)
        began = time.perf_counter()
        train_epoch(model, optimizer, loader)
        return len(data) / (time.perf_counter() - began)

    def evaluation(self) -> float:
        """The platform's evaluation, of as many images as it trains on."""
        state, loader = self._state(), Loader(self.parts, self.config, self.device)
        began = time.perf_counter()
        evaluate(self.config, state.model, loader.training_in_order())
        return loader.n_train / (time.perf_counter() - began)

    def forward(self) -> float:
        """Forward passes over one batch of the evaluation's size, in memory."""
        state, loader = self._state(), Loader(self.parts, self.config, self.device)
        images, _ = next(loader.training_in_order())
        steps = max(1, loader.n_train // len(images))
        state.model.eval()
        began = time.perf_counter()
        with torch.inference_mode():
            for _ in range(steps):
                state.model(images)
        return steps * len(images) / (time.perf_counter() - began)

    def _state(self) -> TrainState:
        return TrainState.create(self.config, self.data.input_shape, len(self.data.classes), self.device)

    def _loop(self, memory_format: torch.memory_format, kind: dict[str, bool]) -> float:
        model = self._state().model.to(memory_format=memory_format).train()
        images = torch.randn(self.config.batch_size, *self.data.input_shape).to(memory_format=memory_format)
        labels = torch.randint(len(self.data.classes), (self.config.batch_size,))
        optimizer = torch.optim.SGD(model.parameters(), self.config.lr, self.config.momentum, **kind)
        steps = max(3, min(100, MEASURED // self.config.batch_size, len(self.parts.train) // self.config.batch_size))
        for step in range(-WARM_UP, steps):
            if step == 0:
                began = time.perf_counter()
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        return steps * self.config.batch_size / (time.perf_counter() - began)


def main() -> None:
    """Measure each case, print two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch, for each contestant (default: 1, as a trial)")
    parser.add_argument("--only", help="one model")
    parser.add_argument("--no-script", dest="script", action="store_false", help="leave the usual script out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = cifar10.load(options.data_dir)
    print(f"{machine()}, torch {torch.__version__}, {options.threads} thread(s), {options.rounds} rounds in turn\n")
    print("| model, batch, augmentation | ours, images/s | ours / limit | ours / script, 0 workers | 2 workers |")
    print("|---|---|---|---|---|")
    for model, batch_size, augment in CASES:
        if options.only in (None, model):
            case = Case(data, model, batch_size, augment)
            print(_training_row(case, options.rounds, options.script), flush=True)
    print("\n| model | evaluation, images/s | against forward passes alone |\n|---|---|---|")
    for model in dict.fromkeys(case[0] for case in CASES):
        if options.only in (None, model):
            case = Case(data, model, 128, "none")
            found = in_turn({"ours": case.evaluation, "limit": case.forward}, options.rounds)
            print(
                f"| {model} | {spread(found['ours'])} | {spread(ratios(found['ours'], found['limit']))} |", flush=True
            )


def _training_row(case: Case, rounds: int, script: bool) -> str:
    ways: dict[str, Callable[[], float]] = {"ours": case.ours, "limit": case.limit}
    if script:
        ways |= {"0": lambda: case.script(0), "2": lambda: case.script(2)}
    found = in_turn(ways, rounds)
    against = [spread(ratios(found["ours"], found[way])) if way in found else "" for way in ("limit", "0", "2")]
    config = case.config
    return (
        f"| {config.model}, {config.batch_size}, {config.augment} | {spread(found['ours'])} | {' | '.join(against)} |"
    )


if __name__ == "__main__":
    main()
