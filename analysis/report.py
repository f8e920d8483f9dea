"""The report of a search: `python -m analysis.report lenet` writes one HTML page, CSV files and PNGs."""

import argparse
import re
import sys
from pathlib import Path

from analysis.errors import AnalysisError, Missing

DESCRIPTION = "Make one HTML page of a search's record in MLflow, and CSV and PNG files of what it shows."
MAX_NAME_LENGTH = 100
"""Characters of a folder's name."""


def main(arguments: list[str] | None = None) -> int:
    """Write the report; 0 when it is there, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", allow_abbrev=False, description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    parser.add_argument("name", help="an MLflow experiment (its latest search), or the id of a search")
    parser.add_argument(
        "--tracking-uri", help="the address of MLflow's record (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: reports/SEARCH)")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="show where the winner looks in these pictures of your own"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where data sets are (default: as recorded)")
    parser.add_argument(
        "--no-png", dest="png", action="store_false", help="draw no PNG files, which takes Chrome or Chromium"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what parsed arguments say; the exit code."""
    from analysis import html, record, report_page  # here, so that --help is instant

    try:
        found = record.load(arguments.name, tracking_uri=arguments.tracking_uri, data_dir=arguments.data_dir)
    except AnalysisError as error:
        return _mistake(str(error))
    if arguments.images is not None and not arguments.images.is_dir():
        return _mistake(f"--images: {arguments.images} is not a folder")
    folder = arguments.out or Path("reports") / safe(found.id)
    try:
        report_page.make(found, folder, images=arguments.images, png=arguments.png)
    except Missing as error:
        print(f"warning: {error}", file=sys.stderr)
    print(folder / html.INDEX)
    return 0


def safe(name: str) -> str:
    """A name from a record as one of a folder: it can neither leave its place nor be hidden."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip(".-")[:MAX_NAME_LENGTH] or "report"


def _mistake(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
