"""The page of a search's report: its sections, and the plots that are found for them."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import analysis.plots
from analysis import explain, html, leaderboard, page, searched
from analysis.errors import Missing
from analysis.record import Record
from contract.formatting import duration

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
"""The titles of the sections, in the order of the page. A plot module names its section."""


def make(found: Record, folder: Path, *, images: Path | None = None, png: bool = False) -> Path:
    """Write the report of a search.

    Args:
        found: the search.
        folder: where to write.
        images: a folder of pictures to show where the winner looks, in place of the data set's.
        png: whether to draw the figures as PNG files too.

    Returns:
        The page.

    Raises:
        Missing: the PNGs could not be drawn; the page and the CSV files are there.
    """
    subtitle = f"{found.title}, search {found.id}, {duration(searched.wall_seconds(found))}"
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
