"""`--dry-run`: what a search would do, with five sample configurations, training nothing."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.spec.spec import Spec
from search.study.study import StudySearcher
from search.trial.data_source import DataSource
from trainables.image_data import ImageData

SAMPLES = 5


def show(console: Console, spec: Spec, source: DataSource, data: ImageData, resources: str) -> None:
    """Print the space, the budget, the resources and samples."""
    samples = _samples(spec)
    shape = "x".join(map(str, data.input_shape[1:]))
    named = {"own": "its own validation set", "rest": "the rest of the training set", "test": "the test set"}
    v = source.validation
    validation = named[v] if isinstance(v, str) else f"{v:g} of each class"
    console.print(
        f"[bold]{spec.name}[/] on {source.title}: {len(data.train_labels):,} training images {shape}, "
        f"{len(data.classes)} classes; validated on {validation}"
    )
    console.print(_space(spec))
    s = spec.scheduler
    rungs = ", ".join(map(str, s.rungs)) if s.name == "asha" else "none"
    at_most = spec.trials * s.max_epochs
    console.print(
        f"{spec.trials} trials by {spec.sampler.name}, {at_most:,} epochs at the most; rungs after epochs: {rungs}"
    )
    if spec.confirm:
        runs = spec.confirm.top * spec.confirm.seeds
        console.print(f"then {runs} confirmation runs (the best {spec.confirm.top}, {spec.confirm.seeds} seeds each)")
    grid = len(spec.space.grid)
    if grid > 1 and spec.trials % grid:
        console.print(
            f"[yellow]{spec.trials} trials do not fill the grid of {grid}: the last draw is not tried at every point[/]"
        )
    console.print(resources)
    console.print(_table(spec, samples))
    console.print("Data, models and tracking were checked. Nothing was trained and no run was made.")


def _samples(spec: Spec) -> list[dict]:
    """The first configurations that the search would try."""
    with tempfile.TemporaryDirectory() as temporary:
        searcher = StudySearcher(spec, Path(temporary) / "study.log")
        asked = [searcher.ask() for _ in range(min(SAMPLES, spec.trials))]
    return [a[1] for a in asked if a is not None]


def _space(spec: Spec) -> Table:
    table = Table(title="Space", title_justify="left", show_header=False, box=None)
    for key, value in spec.space.constants.items():
        table.add_row(f"  {key}", escape(f"{value}"))
    for joint in spec.space.joint:
        table.add_row(f"  [bold]{', '.join(joint.keys)}[/]", f"together, {len(joint.rows)} rows")
    for parameter in spec.space.parameters:
        table.add_row(f"  [bold]{parameter.key}[/]", escape(parameter.describe()))
    return table


def _table(spec: Spec, samples: list[dict]) -> Table:
    table = Table(title="The first configurations", title_justify="left", header_style="bold")
    keys = [p.key for p in spec.space.parameters]
    for key in keys:
        table.add_column(key, justify="right")
    for params in samples:
        values = (params.get(key, "-") for key in keys)
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else escape(str(v)) for v in values))
    return table
