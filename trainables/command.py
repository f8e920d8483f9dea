"""The command line of `python -m trainables.train`: one run, with torch, torchvision and numpy alone."""

import argparse
import os
import sys
from pathlib import Path

import torch

import trainables.datasets
from trainables import folder
from trainables.config import FIELDS, TrainConfig
from trainables.data import split
from trainables.evaluate import evaluate
from trainables.loader import Loader
from trainables.state import TrainState
from trainables.train import autocast_for, train


def main() -> None:
    """Parse the arguments, train, print a line an epoch."""
    arguments = vars(_parser().parse_args())
    try:
        _run(arguments)
    except ValueError as error:
        sys.exit(f"trainables.train: {error}")


def _run(arguments: dict) -> None:
    config = TrainConfig(**{name: arguments[name] for name in FIELDS})
    torch.set_num_threads(arguments["threads"])
    device = torch.device(arguments["device"])
    options = {"folder": arguments["folder"]} if arguments["folder"] else {}
    data = folder.module(trainables.datasets, arguments["data"]).load(arguments["data_dir"], **options)
    validation = None if arguments["validation"] == "test" else float(arguments["validation"])
    loader = Loader(split(data, validation=validation, train_fraction=config.train_fraction, seed=0), config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    print(f"{config.model} on {data.name}: {loader.n_train:,} images, {device}", flush=True)
    for m in train(config, loader, state):
        print(
            f"epoch {m.epoch:3d}  train loss {m.train_loss:.4f} accuracy {m.train_accuracy:.4f}  "
            f"val loss {m.val_loss:.4f} accuracy {m.val_accuracy:.4f}  lr {m.lr:.2e}  "
            f"{m.images_per_second:,.0f} images/s  {m.peak_memory_mb:,.0f} MB",
            flush=True,
        )
    if arguments["test"]:
        loss, accuracy = evaluate(state.model, loader.test(), autocast_for(config, device))
        print(f"test loss {loss:.4f} accuracy {accuracy:.4f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainables.train", description="Train once.")
    parser.add_argument("--data", default="cifar10", help="data set (default: cifar10)")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    parser.add_argument("--folder", help="of --data image_folder, under --data-dir")
    parser.add_argument("--validation", default="0.1", help="part of each class set aside, or 'test' (default: 0.1)")
    parser.add_argument("--test", action="store_true", help="score the test set at the end")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    for name, field in FIELDS.items():
        flag, kind = "--" + name.replace("_", "-"), type(field.default)
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=kind, default=field.default, help=f"default: {field.default}")
    return parser


if __name__ == "__main__":
    main()
