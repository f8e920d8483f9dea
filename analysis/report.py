"""The report of a search: `python -m analysis.report lenet` writes one HTML page, CSV files and PNGs."""

import argparse
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import analysis.plots
from analysis import explain, html, leaderboard, page, record, searched, theme
from analysis.errors import AnalysisError, Missing
from analysis.record import Record

SECTIONS = {
    "searched": "The search",
    "won": "What won",
    "progress": "The best so far",
    "settings": "What mattered",
    "interactions": "Interactions",
    "curves": "Learning curves",
    "best": "The winner's curves",
    "cost": "Cost",
    "train_fraction": "Training data",
    "predictions": "The winner's predictions",
    "trials": "All trials",
}
"""In the order of the page. A plot module names its section."""


def main(arguments: list[str] | None = None) -> int:
    """Write the report; 0 when it is there, 2 for a user's mistake."""
    options = _parser().parse_args(arguments)
    try:
        found = record.load(options.name, tracking_uri=options.tracking_uri, data_dir=options.data_dir)
    except AnalysisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.images is not None and not options.images.is_dir():
        print(f"error: --images: {options.images} is not a folder", file=sys.stderr)
        return 2
    folder = options.out or Path("reports") / safe(found.id)
    path = folder / "index.html"
    try:
        make(found, folder, images=options.images, png=options.png)
    except Missing as error:
        print(f"warning: {error}", file=sys.stderr)
    print(path)
    return 0


def make(found: Record, folder: Path, *, images: Path | None = None, png: bool = False) -> Path:
    """Write the report of a search.

    Args:
        images: a folder of pictures to explain the winner's view of, in place of the data set's.
        png: whether to draw the figures as PNG files too.

    Raises:
        Missing: the PNGs could not be drawn; the page and the CSV files are there.
    """
    subtitle = f"{found.title}, search {found.id}, {theme.duration(searched.wall_seconds(found))}"
    return html.write(folder, found.description["name"], subtitle, sections(found, images), png=png)


def sections(found: Record, images: Path | None = None) -> list[page.Section]:
    """Everything on the page; what has no data says why."""
    special: dict[str, Callable[[], tuple[page.Item, ...]]] = {
        "searched": lambda: searched.items(found),
        "won": lambda: leaderboard.items(found),
        "predictions": lambda: explain.items(found, images),
        "trials": lambda: (leaderboard.all_trials(found),),
    }
    made: list[page.Section] = []
    for id, title in SECTIONS.items():
        items: tuple[page.Item, ...] = ()
        if id in special:
            try:
                items = special[id]()
            except Missing as error:
                items = (page.Absent(title, str(error)),)
        else:
            items = tuple(figure(module, found) for module in plots() if id == module.SECTION)
        made.append(page.Section(id, title, items))
    return made


def plots() -> list[ModuleType]:
    """The modules of analysis/plots, by name."""
    return [import_module(f"analysis.plots.{found.name}") for found in iter_modules(analysis.plots.__path__)]


def figure(module: ModuleType, found: Record) -> page.Item:
    """A plot module's figure, or why there is none."""
    try:
        frame = module.prepare(found)
    except Missing as error:
        return page.Absent(module.TITLE, str(error))
    return page.Figure(
        title=module.TITLE,
        name=module.__name__.rpartition(".")[2],
        figure=module.draw(frame, found),
        frame=frame,
        alt=module.describe(frame, found),
        data=module.data(frame, found) if hasattr(module, "data") else {},
        min_width=getattr(module, "MIN_WIDTH", 0),
    )


def safe(name: str) -> str:
    """A name from a record as one of a folder: it can neither leave its place nor be hidden."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip(".-")[:100] or "report"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.report",
        allow_abbrev=False,
        description="Make one HTML page of a search's record in MLflow, and CSV and PNG files of what it shows.",
    )
    parser.add_argument("name", help="an MLflow experiment (its latest search), or the id of a search")
    parser.add_argument("--tracking-uri", help="MLflow's (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: reports/SEARCH)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="own pictures for the winner to be explained on")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where data sets are (default: as recorded)")
    parser.add_argument(
        "--no-png", dest="png", action="store_false", help="draw no PNG files, which takes Chrome or Chromium"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
