"""The console command `hpsearch`: the project's commands under one name, each imported once it is used."""

import argparse
import sys
from collections.abc import Collection
from importlib import import_module
from typing import NamedTuple


class Command(NamedTuple):
    """A command: the module that has its DESCRIPTION, `add_arguments(parser)` and `run(arguments) -> int`."""

    module: str
    help: str
    """What it does, in the list of all commands."""


COMMANDS = {
    "init": Command("search.cli.init", "copy a spec that comes with the project into this folder"),
    "run": Command("search.run", "search hyperparameters as a spec says"),
    "report": Command("analysis.report", "make the report of a search from MLflow's record"),
    "compare": Command("analysis.compare", "compare searches and single runs"),
    "lr-range": Command("search.lr_range", "find the range of learning rates that is worth searching"),
    "train": Command("trainables.train", "train one network once, without a search"),
    "completion": Command("search.completion", "print what a shell needs to complete commands and options"),
}
EPILOG = "To begin with: hpsearch init quickstart, then hpsearch run quickstart.yaml"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code, 2 where none is named."""
    given = sys.argv[1:] if arguments is None else arguments
    # No option that stands before the command takes a value.
    named = [word for word in given if not word.startswith("-")][:1]
    parser = build_parser(named)
    parsed = parser.parse_args(given)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        return 2
    code: int = import_module(COMMANDS[parsed.command].module).run(parsed)
    return code


def build_parser(whole: Collection[str]) -> argparse.ArgumentParser:
    """The parser of all commands.

    Args:
        whole: the commands whose arguments it knows, and whose modules are imported for that; of others it has the
            name and a line of help.
    """
    parser = argparse.ArgumentParser(prog="hpsearch", allow_abbrev=False, epilog=EPILOG)
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version, and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.help, allow_abbrev=False)
        if name in whole:
            module = import_module(command.module)
            subparser.description = module.DESCRIPTION
            module.add_arguments(subparser)
    return parser


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from contract import installation
        from search.tracking import provenance

        commit = provenance.commit()
        print(f"hpsearch {installation.version()}" + (f" (commit {commit[:12]})" if commit else ""))
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
