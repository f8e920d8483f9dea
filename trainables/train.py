"""The command line of `python -m trainables.train`: one run, with torch, torchvision and numpy alone.

torch is imported once there is something to train, so that `--help` and most mistakes are answered at once.
"""

import argparse
import contextlib
import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract import locations
from trainables import named_dataset, own_code
from trainables.config import FIELDS, TrainConfig
from trainables.epoch_metrics import EpochMetrics
from trainables.image_data import DataError, ImageData
from trainables.split import default_validation, split

if TYPE_CHECKING:
    import torch

DESCRIPTION = "Train one model once, and print its metrics after each epoch."


def main(arguments: list[str] | None = None) -> int:
    """Train once; 0 when it is done, 1 when the run is not possible, 2 for arguments that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m trainables.train", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    _add_data_arguments(parser)
    parser.add_argument(
        "--option",
        type=_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the model, such as pooling=average",
    )
    parser.add_argument(
        "--allow-code", action="store_true", help="run own code that --model or --data names by a dotted path"
    )
    parser.add_argument("--test", action="store_true", help="score the test set at the end")
    parser.add_argument("--device", type=_device, help="device of torch (default: cuda where there is a GPU, else cpu)")
    parser.add_argument(
        "--threads", type=_threads, default=os.cpu_count(), help="threads of torch (default: one for each CPU)"
    )
    for name, field in FIELDS.items():
        flag, kind = "--" + name.replace("_", "-"), type(field.default)
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=kind, default=field.default, help=f"default: {field.default}")


def run(arguments: argparse.Namespace) -> int:
    """Train as parsed arguments say; return the exit code."""
    try:
        _train(vars(arguments))
    except ValueError as error:
        print(f"trainables.train: {error}", file=sys.stderr)
        return 1
    return 0


def _train(arguments: Mapping[str, Any]) -> None:
    own_code.allow(str(Path.cwd()) if arguments["allow_code"] else None)
    config = TrainConfig(**{name: arguments[name] for name in FIELDS}, model_options=dict(arguments["option"]))
    data = _load(arguments)
    validation = default_validation(data) if arguments["validation"] is None else arguments["validation"]
    parts = split(data, validation=validation, train_fraction=config.train_fraction, seed=0)

    import torch

    from trainables.evaluate import evaluate
    from trainables.loader import Loader
    from trainables.state import TrainState
    from trainables.training import train

    torch.set_num_threads(arguments["threads"])
    device = arguments["device"] or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = Loader(parts, config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    print(f"{config.model} on {data.name}: {loader.n_train:,} images, {device}", flush=True)
    for metrics in train(config, loader, state):
        print(_line(metrics), flush=True)
    if arguments["test"]:
        loss, accuracy = evaluate(config, state.model, loader.test())
        print(f"test loss {loss:.4f} accuracy {accuracy:.4f}")


def _line(metrics: EpochMetrics) -> str:
    return (
        f"epoch {metrics.epoch:3d}  train loss {metrics.train_loss:.4f} accuracy {metrics.train_accuracy:.4f}  "
        f"val loss {metrics.val_loss:.4f} accuracy {metrics.val_accuracy:.4f}  lr {metrics.lr:.2e}  "
        f"{metrics.images_per_second:,.0f} images/s  {metrics.peak_memory_mb:,.0f} MB"
    )


def _load(arguments: Mapping[str, Any]) -> ImageData:
    load = named_dataset.loader(arguments["data"])
    options = {key: arguments[key] for key in ("folder", "image_size") if arguments[key] is not None}
    try:
        inspect.signature(load).bind(arguments["data_dir"], **options)
    except TypeError as error:
        raise DataError(f"--data {arguments['data']}: {error}") from error
    return named_dataset.load(arguments["data"], arguments["data_dir"], options)


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="cifar10", help="data set (default: cifar10)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=locations.data_dir(),
        help=f"folder of all data sets (default: {locations.DATA_VARIABLE}, else ./data)",
    )
    parser.add_argument("--folder", type=_folder, help="folder under --data-dir, for --data image_folder")
    parser.add_argument(
        "--image-size", type=int, help="pixels a side that pictures are resized to, for --data image_folder"
    )
    parser.add_argument(
        "--validation",
        type=_validation,
        help="part of each class set aside, or own, rest, test (default: the data set's own, else 0.1)",
    )


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must be the name of a folder, not empty")
    return text


def _validation(text: str) -> float | str:
    try:
        return text if text in ("own", "rest", "test") else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a part such as 0.1, own, rest or test, not {text!r}") from error


def _option(text: str) -> tuple[str, object]:
    """Parse `KEY=VALUE`; the value is a number, true or false where it reads as one."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE, such as pooling=average, not {text!r}")
    with contextlib.suppress(json.JSONDecodeError):
        return key, json.loads(value)
    return key, value


def _threads(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def _device(text: str) -> "torch.device":
    import torch

    try:
        return torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"must be a device of torch, such as cpu or cuda, not {text!r}") from error


if __name__ == "__main__":
    sys.exit(main())
