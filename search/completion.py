"""`hpsearch completion bash`: what a shell needs to complete the commands, their options and their files."""

import argparse
from pathlib import Path

import shtab

SHELLS = ("bash", "zsh", "fish")
DESCRIPTION = "Print a script with which a shell completes the commands and options of hpsearch."
EPILOG = """\
For all shells that are opened from now on:
  bash  hpsearch completion bash > ~/.local/share/bash-completion/completions/hpsearch
  zsh   hpsearch completion zsh > ~/.zfunc/_hpsearch      (~/.zfunc is in fpath before compinit runs)
  fish  hpsearch completion fish > ~/.config/fish/completions/hpsearch.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS)


def run(arguments: argparse.Namespace) -> int:
    """Print the script for a shell; the exit code."""
    from search.main import COMMANDS, build_parser

    parser = build_parser(COMMANDS)
    _complete_paths(parser)
    print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Mark the arguments of a parser, and of the commands below it, that take a file or a folder."""
    for action in parser._actions:  # noqa: SLF001 (argparse has no other list of them; shtab reads it as well)
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                _complete_paths(command)
        elif action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # which is where shtab looks
