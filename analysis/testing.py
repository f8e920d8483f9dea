"""What every plot must do, as a check for people who add their own.

from analysis.testing import check_plot

def test_my_plot(record):
check_plot(my_plot, record)
"""

from types import ModuleType

import plotly.graph_objects as go

from analysis.errors import Missing
from analysis.record import Record
from analysis.report_page import SECTIONS

MIN_TEXT_LENGTH = 40
"""Characters of a text that can stand for a figure."""


class BadPlot(AssertionError):
    """A plot does not do what the report expects of it; the message says what."""


def check_plot(plot: ModuleType, record: Record) -> str:
    """Check that a plot draws a search and says what it shows, or refuses in words.

    Args:
        plot: a module with TITLE, SECTION, `prepare(record)`, `draw(frame, record)` and `describe(frame, record)`.
        record: the search.

    Returns:
        Why the plot has nothing to show of this search; empty where it was drawn.

    Raises:
        BadPlot: the plot does something else.
    """
    name = plot.__name__
    _require(bool(plot.TITLE), f"{name}: TITLE is empty: give the figure a heading")
    _require(plot.SECTION in SECTIONS, f"{name}: SECTION is {plot.SECTION!r}, not one of {', '.join(SECTIONS)}")
    try:
        frame = plot.prepare(record)
    except Missing as error:
        reason = str(error)
        _require(reason.endswith("."), f"{name}: the reason for no figure is no sentence with a full stop: {reason!r}")
        return reason
    figure = plot.draw(frame, record)
    _require(isinstance(figure, go.Figure), f"{name}: draw gave {type(figure).__name__}, not a plotly Figure")
    _require(len(figure.data) > 0, f"{name}: draw gave an empty figure: raise Missing in prepare instead")
    _require(bool(figure.layout.height), f"{name}: the figure has no height: make it with analysis.theme.figure")
    text = plot.describe(frame, record)
    long = len(text) > MIN_TEXT_LENGTH and text.endswith(".")
    _require(long, f"{name}: describe gave {text!r}: say in whole sentences what the figure shows")
    _require("nan" not in text, f"{name}: describe gave {text!r}: leave out what is not a number")
    return ""


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise BadPlot(problem)
