"""Searches and single runs side by side: `python -m analysis.compare lenet resnet18 lenet-augmented/trial-0003`."""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.errors import AnalysisError, Missing

DESCRIPTION = "Compare searches and single runs of MLflow's record on one HTML page, with CSV and PNG files."
MAX_NAMES_LENGTH = 80
"""Characters of the contenders' names in a folder's name."""
HASH_LENGTH = 8
"""Characters that tell names apart that were cut."""


def main(arguments: list[str] | None = None) -> int:
    """Write the comparison; 0 when it is there, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m analysis.compare", allow_abbrev=False, description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="an MLflow experiment (its latest search), a search's id, a run's id, or SEARCH/RUN as lenet/trial-0003",
    )
    parser.add_argument(
        "--tracking-uri", help="the address of MLflow's record (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: reports/compare-NAMES)")
    parser.add_argument(
        "--no-png", dest="png", action="store_false", help="draw no PNG files, which takes Chrome or Chromium"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what parsed arguments say; the exit code."""
    from analysis import html  # here, so that --help is instant
    from analysis.comparison import contenders
    from analysis.comparison.sections import sections

    folder = arguments.out or Path("reports") / safe(arguments.names)
    try:
        found, left_out = contenders.find(arguments.names, arguments.tracking_uri)
        page = sections(found, left_out)
    except AnalysisError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    try:
        html.write(folder, "Comparison", " · ".join(c.name for c in found), page, png=arguments.png)
    except OSError as error:
        print(f"error: cannot write to {folder}: {error}", file=sys.stderr)
        return 2
    except Missing as error:
        print(f"warning: {error}", file=sys.stderr)
    print(folder / html.INDEX)
    return 0


def safe(names: Sequence[str]) -> str:
    """A folder's name for a comparison: it can neither leave its place nor be hidden, nor be another's when cut."""
    text = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(names))
    if len(text) > MAX_NAMES_LENGTH:
        text = f"{text[:MAX_NAMES_LENGTH]}-{hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]}"
    return f"compare-{text}"


if __name__ == "__main__":
    sys.exit(main())
