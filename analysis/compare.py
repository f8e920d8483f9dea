"""Searches and single runs side by side: `python -m analysis.compare lenet resnet18 lenet-augmented/trial-0003`."""

import argparse
import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from analysis import html, page, theme
from analysis.comparison import contenders, lines, points, tables
from analysis.comparison.contenders import Contender
from analysis.errors import AnalysisError, Missing

LONGEST = 80
"""Characters of the names in a folder's name."""
INTERVALS = (
    "A difference is the contender's mean less that of the other, of accuracies in percentage points. With few runs "
    "the bootstrap interval is too narrow: from three pairs it holds the true difference in about 75 of 100 cases, the "
    "t interval in 95. Each verdict is for its pair alone: of many pairs some look certain by chance."
)
RUNS = (
    "Mean ± standard deviation over n runs. Only confirmed runs have a test accuracy. Seconds are of one training with "
    "its validation, memory is the most that was used."
)


def main(arguments: list[str] | None = None) -> int:
    """Write the comparison; 0 when it is there, 2 for a user's mistake."""
    options = _parser().parse_args(arguments)
    folder = options.out or Path("reports") / safe(options.names)
    try:
        found, left_out = contenders.find(options.names, options.tracking_uri)
        made = sections(found, left_out)
    except AnalysisError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    try:
        html.write(folder, "Comparison", " · ".join(c.name for c in found), made, png=options.png)
    except OSError as error:
        print(f"error: cannot write to {folder}: {error}", file=sys.stderr)
        return 2
    except Missing as error:
        print(f"warning: {error}", file=sys.stderr)
    print(folder / "index.html")
    return 0


def sections(found: Sequence[Contender], left_out: Sequence[str] = ()) -> list[page.Section]:
    """Everything on the page.

    Args:
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


def safe(names: Sequence[str]) -> str:
    """A folder's name for a comparison: it can neither leave its place nor be hidden, nor be another's when cut."""
    text = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(names))
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return f"compare-{cut}"


def _settings(found: Sequence[Contender]) -> page.Item:
    frame = tables.settings(found)
    title = "The settings in which they differ"
    if frame.empty:
        return page.Absent(title, "None but the model and the seed.")
    return page.Table(title, "settings", frame)


def _differences(found: Sequence[Contender], metric: str, maximize: bool) -> tuple[page.Item, ...]:
    try:
        frame = tables.differences(found, metric, maximize)
    except Missing as error:
        return (page.Absent("Differences", str(error)),)
    table = page.Table("Differences", "differences", tables.shown_differences(frame), INTERVALS, csv=frame)
    figures = [
        _figure(
            f"Differences of {theme.label(measure)}", f"differences_{measure}",
            partial(points.prepare_differences, frame, measure),
            points.draw_differences, points.describe_differences,
        )
        for measure in dict.fromkeys((metric, tables.TEST))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.compare",
        allow_abbrev=False,
        description="Compare searches and single runs of MLflow's record on one HTML page, with CSV and PNG files.",
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="an MLflow experiment (its latest search), a search's id, a run's id, or SEARCH/RUN as lenet/trial-0003",
    )
    parser.add_argument("--tracking-uri", help="MLflow's (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: reports/compare-NAMES)")
    parser.add_argument(
        "--no-png", dest="png", action="store_false", help="draw no PNG files, which takes Chrome or Chromium"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
