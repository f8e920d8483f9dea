"""The command line of `python -m trainables.train`: one run, with torch, torchvision and numpy alone."""

import argparse
import contextlib
import inspect
import json
import os
import sys
from pathlib import Path

import torch

from trainables import named_dataset, own_code
from trainables.config import FIELDS, TrainConfig
from trainables.evaluate import evaluate
from trainables.image_data import DataError, ImageData
from trainables.loader import Loader
from trainables.split import default_validation, split
from trainables.state import TrainState
from trainables.training import train


def main() -> None:
    """Parse the arguments, train, print a line an epoch."""
    arguments = vars(_parser().parse_args())
    try:
        _run(arguments)
    except ValueError as error:
        sys.exit(f"trainables.train: {error}")


def _run(arguments: dict) -> None:
    own_code.allow(str(Path.cwd()) if arguments["allow_code"] else None)
    config = TrainConfig(**{name: arguments[name] for name in FIELDS}, model_options=dict(arguments["option"]))
    torch.set_num_threads(arguments["threads"])
    device = arguments["device"]
    data = _load(arguments)
    validation = default_validation(data) if arguments["validation"] is None else arguments["validation"]
    parts = split(data, validation=validation, train_fraction=config.train_fraction, seed=0)
    loader = Loader(parts, config, device)
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
        loss, accuracy = evaluate(config, state.model, loader.test())
        print(f"test loss {loss:.4f} accuracy {accuracy:.4f}")


def _load(arguments: dict) -> ImageData:
    load = named_dataset.loader(arguments["data"])
    options = {key: arguments[key] for key in ("folder", "image_size") if arguments[key] is not None}
    try:
        inspect.signature(load).bind(arguments["data_dir"], **options)
    except TypeError as error:
        raise DataError(f"--data {arguments['data']}: {error}") from error
    return named_dataset.load(arguments["data"], arguments["data_dir"], options)


def _name(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _validation(text: str) -> float | str:
    try:
        return text if text in ("own", "rest", "test") else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a part such as 0.1, own, rest or test, not {text!r}") from error


def _option(text: str) -> tuple[str, object]:
    """`KEY=VALUE`, the value a number, true or false where it reads as one."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE, such as pooling=average, not {text!r}")
    with contextlib.suppress(json.JSONDecodeError):
        return key, json.loads(value)
    return key, value


def _threads(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _device(text: str) -> torch.device:
    try:
        return torch.device(text)
    except RuntimeError as error:
        raise ValueError from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainables.train", description="Train once.")
    parser.add_argument("--data", default="cifar10", help="data set (default: cifar10)")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    parser.add_argument("--folder", type=_name, help="of --data image_folder: its folder under --data-dir")
    parser.add_argument("--image-size", type=int, help="of --data image_folder: resize to so many pixels a side")
    parser.add_argument(
        "--validation",
        type=_validation,
        help="part of each class set aside, or own, rest, test (default: the data set's own, else 0.1)",
    )
    parser.add_argument(
        "--option",
        type=_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the model: pooling=average",
    )
    parser.add_argument(
        "--allow-code", action="store_true", help="run own code that --model or --data names by a dotted path"
    )
    parser.add_argument("--test", action="store_true", help="score the test set at the end")
    parser.add_argument("--device", type=_device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=_threads, default=os.cpu_count())
    for name, field in FIELDS.items():
        flag, kind = "--" + name.replace("_", "-"), type(field.default)
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=kind, default=field.default, help=f"default: {field.default}")
    return parser


if __name__ == "__main__":
    main()
