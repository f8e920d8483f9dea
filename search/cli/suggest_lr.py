"""The learning-rate range test of a spec: the loss drawn over the rate, and the range that is worth searching."""

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

from search.cli import summary
from search.cli.arguments import apply_allow_code
from search.errors import Problem, UserError
from search.preflight import checks, models
from search.spec import yaml_file
from search.spec.loader import load
from search.spec.spec import Spec
from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.range_test import RangeTest, lr_range
from trainables.state import TrainState

MIN_STEPS = 20
"""Steps before the loss diverges, under which nothing can be read off."""


def suggest(options: argparse.Namespace, console: Console) -> int:
    """Test, draw, and suggest a range; the exit code.

    Args:
        options: the parsed arguments of the command.
        console: where to say what was found.

    Raises:
        UserError: the spec, the data or an option is wrong.
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
        f"{options.high:g}; " + escape(" ".join(f"{key}={_short(value)}" for key, value in others.items()))
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = Loader(source.split(data, config.train_fraction), config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    test = lr_range(config, loader, state, low=options.low, high=options.high, steps=options.steps)
    if len(test.losses) < MIN_STEPS:
        console.print(
            f"[red]The loss diverged after {len(test.losses)} steps: begin lower than {options.low:g}, with --low.[/]"
        )
        return 1
    title = f"{config.model} on {source.title}, {config.optimizer}, batch {config.batch_size}"
    _tell(test, title, spec, options, console)
    return 0


def _tell(test: RangeTest, title: str, spec: Spec, options: argparse.Namespace, console: Console) -> None:
    """Print the suggestion, draw it, and write it into a copy of the spec where that is wanted."""
    low, high = test.range
    console.print(f"suggested lr (steepest fall): [bold]{test.steepest:.2g}[/]; least loss at {test.lowest:.2g}")
    console.print(f"to search: [bold]lr: {_entry(low, high)}[/]")
    plot = options.plot or Path(f"lr_range-{spec.name}.png")
    draw(test, title, plot)
    console.print(f"drawn in {escape(str(plot))}", soft_wrap=True)
    if options.write:
        text = yaml_file.with_value(options.spec.read_text(encoding="utf-8"), ("space", "lr"), _entry(low, high))
        options.write.write_text(text, encoding="utf-8")
        console.print(f"written to {escape(str(options.write))}", soft_wrap=True)


def draw(test: RangeTest, title: str, path: Path) -> None:
    """The losses and the smoothed loss over lr, with the suggestion, as an image."""
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


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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
