"""The learning-rate range test of a spec, for the command `search.lr_range`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from contract.formatting import setting
from search.cli import summary
from search.cli.arguments import apply_allow_code
from search.errors import Problem, UserError
from search.preflight import checks, models
from search.spec import yaml_file
from search.spec.loader import load
from search.spec.spec import Spec
from search.trial.data_source import DataSource
from trainables.config import TrainConfig
from trainables.image_data import ImageData

if TYPE_CHECKING:
    from trainables.range_test import RangeTest  # which imports torch

MIN_STEPS = 20
"""Steps before the loss diverges; from fewer no learning rate can be suggested."""


def suggest(options: argparse.Namespace, console: Console) -> int:
    """Run the test, draw it and suggest a range; 0 with a suggestion, 1 without.

    Raises:
        UserError: a mistake in the spec, the data, the models or the options.
    """
    apply_allow_code(options.allow_code)
    spec = load(options.spec, tuple(options.set))
    source, data = checks.find_data(spec, options.data_dir, _option_problems(spec, options))
    if problems := models.problems(spec, data):
        raise UserError(problems, spec.source, spec.lines)
    if source.substitute_for:
        console.print(summary.substitute_warning(source))
    config = TrainConfig.from_params(spec.space.middle())
    others = {key: value for key, value in config.in_effect().items() if key in spec.space.keys and key != "lr"}
    console.print(
        f"[bold]{config.model}[/] on {source.title}: {options.steps} steps, lr raised from {options.low:g} to "
        f"{options.high:g}; " + escape(" ".join(f"{key}={setting(value)}" for key, value in others.items()))
    )
    test = _test(config, source, data, options)
    if len(test.losses) < MIN_STEPS:
        console.print(
            f"[red]The loss diverged after {len(test.losses)} steps: begin lower, with --low below {options.low:g}.[/]"
        )
        return 1
    low, high = test.range
    console.print(f"suggested lr (steepest fall): [bold]{test.steepest:.2g}[/]; lowest loss at {test.lowest:.2g}")
    console.print(f"to search: [bold]lr: {_entry(low, high)}[/]")
    plot = options.plot or Path(f"lr_range-{spec.name}.png")
    draw(test, f"{config.model} on {source.title}, {config.optimizer}, batch {config.batch_size}", plot)
    console.print(f"drawn in {escape(str(plot))}", soft_wrap=True)
    if options.write:
        text = yaml_file.with_value(options.spec.read_text(encoding="utf-8"), ("space", "lr"), _entry(low, high))
        options.write.write_text(text, encoding="utf-8")
        console.print(f"written to {escape(str(options.write))}", soft_wrap=True)
    return 0


def _test(config: TrainConfig, source: DataSource, data: ImageData, options: argparse.Namespace) -> "RangeTest":
    import torch

    from trainables.loader import Loader
    from trainables.range_test import lr_range
    from trainables.state import TrainState

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = Loader(source.split(data, config.train_fraction), config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    return lr_range(config, loader, state, low=options.low, high=options.high, steps=options.steps)


def draw(test: "RangeTest", title: str, path: Path) -> None:
    """Draw the losses and the smoothed loss over the learning rate, with the suggestion.

    Args:
        test: the learning rates and losses.
        title: the heading of the picture.
        path: the file of the picture, whose ending says its format.
    """
    from matplotlib.figure import Figure

    low, high = test.range
    smoothed = test.smoothed
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(low, high, color="#0072B2", alpha=0.08, label=f"to search: {low:.1e} to {high:.1e}")
    axes.plot(test.lrs, test.losses, color="#999999", linewidth=0.6, label="loss of each batch")
    axes.plot(test.lrs, smoothed, color="#0072B2", linewidth=2, label="smoothed")
    axes.axvline(test.steepest, color="#D55E00", linestyle="--", label=f"steepest fall: {test.steepest:.1e}")
    # Where the loss diverges it would flatten all else.
    axes.set_ylim(0.9 * smoothed.min(), min(test.losses.max(), smoothed[0] + (smoothed[0] - smoothed.min())) * 1.05)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def _entry(low: float, high: float) -> str:
    return f"{{loguniform: [{low:.1e}, {high:.1e}]}}"


def _option_problems(spec: Spec, options: argparse.Namespace) -> list[Problem]:
    problems = []
    if not 0 < options.low < options.high:
        problems.append(Problem("--low", f"must be above 0 and below --high, not {options.low:g} and {options.high:g}"))
    if options.steps < MIN_STEPS:
        problems.append(Problem("--steps", f"must be {MIN_STEPS} or more, not {options.steps}"))
    if options.write and any("lr" in joint.keys for joint in spec.space.joint):
        problems.append(Problem("--write", "lr is varied together with other keys in this spec: write it by hand"))
    for flag, path in (("--plot", options.plot), ("--write", options.write)):
        if path and not path.absolute().parent.is_dir():
            problems.append(Problem(flag, f"there is no folder {path.absolute().parent}"))
    return problems
