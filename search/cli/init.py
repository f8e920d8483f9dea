"""`hpsearch init quickstart`: a spec that comes with the project, copied into this folder."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contract.formatting import nearest
from search import example_specs
from search.cli.arguments import reported
from search.errors import Problem, UserError

DESCRIPTION = "Copy a spec that comes with the project into this folder, to run it or to change it; list them all."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as quickstart; without one they are listed")


def run(arguments: argparse.Namespace) -> int:
    """Do what parsed arguments say; the exit code."""
    return reported(lambda console: _copy(arguments.name, console) if arguments.name else _list(console))


def _copy(name: str, console: Console) -> int:
    """Copy an example into this folder.

    Raises:
        UserError: there is no such example, or a file is in its place.
    """
    found = example_specs.paths()
    name = name.removesuffix(".yaml")
    if name not in found:
        text = f"there is no example {name!r}{nearest(name, found)}; there is: {', '.join(found)}"
        raise UserError([Problem("", text)])
    target = Path(f"{name}.yaml")
    try:
        with target.open("xb") as file:
            file.write(found[name].read_bytes())
    except FileExistsError:
        raise UserError([Problem("", "is there already: rename or remove it first")], target) from None
    except OSError as error:
        raise UserError([Problem("", f"cannot be written: {error}")], target) from error
    console.print(f"{target} is here. To run it: [bold]hpsearch run {target}[/]", soft_wrap=True)
    return 0


def _list(console: Console) -> int:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, path in example_specs.paths().items():
        table.add_row(f"[bold]{escape(name)}[/]", escape(example_specs.summary(path)))
    console.print(table)
    console.print(f"\nTo copy one into this folder: [bold]hpsearch init {example_specs.FIRST}[/]")
    return 0
