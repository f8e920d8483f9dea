"""The page of a comparison: its sections."""

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from analysis import page, theme
from analysis.comparison import contenders, lines, points, tables
from analysis.comparison.contenders import Contender
from analysis.errors import Missing
from analysis.report import safe
from contract.metrics import TEST_ACCURACY, label

INTERVALS = (
    "A difference is the contender's mean minus the other's; for accuracies it is in percentage points. With few runs "
    "the bootstrap interval is too narrow: from three pairs it holds the true difference in about 75 of 100 cases, the "
    "t interval in 95. Each verdict is for its pair alone: among many pairs some look certain by chance."
)
RUNS = (
    "Mean ± standard deviation over n runs. Only confirmed runs have a test accuracy. Seconds are of one training with "
    "its validation; memory is the most that any of the runs used."
)


def sections(found: Sequence[Contender], left_out: Sequence[str] = ()) -> list[page.Section]:
    """Everything on the page.

    Args:
        found: the contenders, two or more.
        left_out: sentences on contenders that have no result.

    Raises:
        AnalysisError: there is no metric to compare all by.
    """
    metric, maximize, why = contenders.objective(found)
    notes = [*tables.warnings(found), *left_out, *([why] if why else [])]
    notes += [f"{c.name}: {note}" for c in found for note in c.record.notes]
    colours = theme.colour_of([c.name for c in found])
    overview = tables.overview(found, metric)
    shown = [
        page.Table("The contenders", "contenders", tables.shown(overview, metric), RUNS, csv=overview),
        _settings(found),
    ]
    curves = _figure(
        "Epoch by epoch", "curves", lambda: lines.prepare_curves(found, metric),
        lambda frame: lines.draw_curves(frame, metric, colours),
        lambda frame: lines.describe_curves(frame, metric),
    )  # fmt: skip
    best = _figure(
        "The best so far", "best_so_far", lambda: lines.prepare_best(found, metric, maximize),
        lambda frame: lines.draw_best(frame, metric, colours),
        lambda frame: lines.describe_best(frame, metric),
    )  # fmt: skip
    cost = _figure(
        "Result and time", "cost", lambda: points.prepare_cost(found, metric),
        lambda frame: points.draw_cost(frame, colours), points.describe_cost,
    )  # fmt: skip
    return [
        page.Section("contenders", "What is compared", (*map(page.Prose, dict.fromkeys(notes)), *shown)),
        page.Section("differences", "What is better", _differences(found, metric, maximize)),
        page.Section("curves", "Learning curves", (curves,)),
        page.Section("cost", "What it took", (cost, best)),
    ]


def _settings(found: Sequence[Contender]) -> page.Item:
    frame = tables.settings(found)
    title = "The settings in which they differ"
    if frame.empty:
        return page.Absent(title, "They differ in nothing but the model and the seed.")
    return page.Table(title, "settings", frame)


def _differences(found: Sequence[Contender], metric: str, maximize: bool) -> tuple[page.Item, ...]:
    try:
        frame = tables.differences(found, metric, maximize)
    except Missing as error:
        return (page.Absent("Differences", str(error)),)
    table = page.Table("Differences", "differences", tables.shown_differences(frame), INTERVALS, csv=frame)
    figures = [
        _figure(
            f"Differences of {label(measure)}", f"differences_{safe(measure)}",
            partial(points.prepare_differences, frame, measure),
            points.draw_differences, points.describe_differences,
        )
        for measure in dict.fromkeys((metric, TEST_ACCURACY))
    ]  # fmt: skip
    return table, *figures


def _figure(
    title: str,
    name: str,
    prepare: Callable[[], pd.DataFrame],
    draw: Callable[[pd.DataFrame], go.Figure],
    describe: Callable[[pd.DataFrame], str],
) -> page.Item:
    try:
        frame = prepare()
    except Missing as error:
        return page.Absent(title, str(error))
    return page.Figure(title, name, draw(frame), frame, describe(frame))
