"""The main command: `python -m search.run spaces/lenet.yaml`."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from search.cli.arguments import add_spec_arguments, reported

DESCRIPTION = "Search hyperparameters as a spec says, and log every trial to MLflow."


def main(arguments: list[str] | None = None) -> int:
    """Run a search; 0 when it is done, 1 when no trial has a result, 2 for a user's mistake, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m search.run", allow_abbrev=False, description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    add_spec_arguments(parser, "spaces/lenet.yaml")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would run, check data, models and tracking, train nothing"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="ID",
        help="continue the latest search of this spec, or the one named",
    )
    parser.add_argument(
        "--in-process",
        action="store_true",
        help="one trial after the other in this process, without Ray: for debugging",
    )
    parser.add_argument(
        "--no-report", dest="report", action="store_false", help="make no report at the end (analysis.report can)"
    )
    parser.add_argument(
        "--results", type=Path, help="where searches keep their state (default: the spec's storage, else ./results)"
    )
    parser.add_argument("--address", help="of a Ray cluster to run on (default: RAY_ADDRESS, else this machine alone)")


def run(arguments: argparse.Namespace) -> int:
    """Do what parsed arguments say; the exit code."""

    def command(console: Console) -> int:
        # Here, so that --help is instant.
        from search.cli.context import Options
        from search.launch import launch

        return launch(Options.from_arguments(arguments), console)

    return reported(command)


if __name__ == "__main__":
    sys.exit(main())
