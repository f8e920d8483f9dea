"""What the commands share: arguments, and how a user's mistakes are shown."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from contract.locations import data_dir
from search.errors import UserError
from trainables import own_code

COLUMNS_WITHOUT_TERMINAL = 140
"""Width of tables and panels that go to a file or a pipe."""


def reported(command: Callable[[Console], int]) -> int:
    """Run a command.

    Returns:
        Its exit code; 2 for a user's mistakes, which are printed, and 130 when it is interrupted.
    """
    console = Console(width=None if sys.stdout.isatty() else COLUMNS_WITHOUT_TERMINAL, highlight=False)
    try:
        return command(console)
    except UserError as error:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for message in error.messages():
            errors.print(f"[bold red]error:[/] {escape(message)}")
        return 2
    except KeyboardInterrupt:  # before there was anything to end cleanly, or a second time
        return 130


def add_spec_arguments(parser: argparse.ArgumentParser, example: str) -> None:
    """Add the spec, the overrides of its keys, and where the data is."""
    parser.add_argument("spec", type=Path, help=f"YAML file, such as {example}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the spec: --set space.lr=1e-3",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=data_dir(),
        help="where data sets are (default: SEARCH_DATA_DIR, else ./data)",
    )
    parser.add_argument(
        "--allow-code",
        action="store_true",
        help="run models and data sets of your own that the spec names by dotted paths (model: mynets.wide), from "
        "this folder; without it they are refused",
    )


def apply_allow_code(allowed: bool) -> None:
    """Let this process run own code of the folder that it was started in if, and only if, the command line says so."""
    own_code.allow(str(Path.cwd()) if allowed else None)
