"""The learning-rate range test of a spec: `python -m search.lr_range spaces/resnet9.yaml`."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from search.cli.arguments import add_spec_arguments, reported

DESCRIPTION = (
    "Raise the learning rate step by step, and suggest a range for it from the loss. Of searched keys the first choice "
    "or the middle of the range is used; --set fixes them."
)


def main(arguments: list[str] | None = None) -> int:
    """Run the test, draw it and suggest a range; 0 with a suggestion, 1 without, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m search.lr_range", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    add_spec_arguments(parser, "spaces/resnet9.yaml")
    parser.add_argument("--low", type=float, default=1e-6, help="first learning rate (default: 1e-6)")
    parser.add_argument("--high", type=float, default=10.0, help="last learning rate (default: 10)")
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps (default: 300)")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="where to draw (default: ./lr_range-NAME.png)")
    parser.add_argument("--write", type=Path, metavar="SPEC", help="write the spec with this range of lr to a file")


def run(arguments: argparse.Namespace) -> int:
    """Do what parsed arguments say; the exit code."""

    def command(console: Console) -> int:
        from search.cli.suggest_lr import suggest  # here, so that --help is instant

        return suggest(arguments, console)

    return reported(command)


if __name__ == "__main__":
    sys.exit(main())
