"""`--dry-run`: what a search would do, with its first configurations; nothing is trained."""

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contract.formatting import NOT_SET, counted, setting
from search.spec.spec import Spec
from search.storage.layout import Layout
from search.study.study import StudySearcher
from search.trial.data_source import DataSource
from trainables.image_data import ImageData

MAX_SAMPLES = 5
"""Configurations that are shown."""
VALIDATED_ON = {
    "own": "its own validation set",
    "rest": "the rest of the training set",
    "test": "the test set",
}


def show(console: Console, spec: Spec, source: DataSource, data: ImageData, resources: str) -> None:
    """Print the space, the budget, the resources and the first configurations.

    Args:
        console: where to print.
        spec: the search.
        source: the data set.
        data: its images.
        resources: what the trials would run on, in words.
    """
    samples = _samples(spec)
    shape = "x".join(map(str, data.input_shape[1:]))
    part = source.validation
    validation = VALIDATED_ON[part] if isinstance(part, str) else f"{setting(part)} of each class"
    console.print(
        f"[bold]{spec.name}[/] on {source.title}: {len(data.train_labels):,} training images {shape}, "
        f"{len(data.classes)} classes; validated on {validation}"
    )
    console.print(_space(spec))
    rungs = ", ".join(map(str, spec.scheduler.rungs)) or "none"
    max_epochs = spec.trials * spec.scheduler.max_epochs
    console.print(
        f"{counted(spec.trials, 'trial')} by {spec.sampler.name}, {max_epochs:,} epochs at the most; "
        f"rungs after epochs: {rungs}"
    )
    if spec.confirm:
        runs = spec.confirm.top * spec.confirm.seeds
        console.print(f"then {runs} confirmation runs (the best {spec.confirm.top}, {spec.confirm.seeds} seeds each)")
    grid = len(spec.space.grid)
    if grid > 1 and spec.trials % grid:
        console.print(
            f"[yellow]{spec.trials} trials do not fill the grid of {grid}: "
            "the last sample is not tried at every point[/]"
        )
    console.print(resources)
    console.print(_table(spec, samples))
    console.print("Data, models and tracking were checked. Nothing was trained and no run was made.")


def _samples(spec: Spec) -> list[dict[str, Any]]:
    """The first configurations that the search would try."""
    with tempfile.TemporaryDirectory() as temporary:
        searcher = StudySearcher(spec, Layout(Path(temporary)).study)
        asked = [searcher.ask() for _ in range(min(MAX_SAMPLES, spec.trials))]
    return [proposal[1] for proposal in asked if proposal is not None]


def _space(spec: Spec) -> Table:
    table = Table(title="Space", title_justify="left", show_header=False, box=None)
    for key, value in spec.space.constants.items():
        table.add_row(f"  {key}", escape(str(value)))
    for joint in spec.space.joint:
        table.add_row(f"  [bold]{', '.join(joint.keys)}[/]", f"together, {len(joint.rows)} rows")
    for parameter in spec.space.parameters:
        table.add_row(f"  [bold]{parameter.key}[/]", escape(parameter.describe()))
    return table


def _table(spec: Spec, samples: list[dict[str, Any]]) -> Table:
    table = Table(title="The first configurations", title_justify="left", header_style="bold")
    keys = [p.key for p in spec.space.parameters]
    for key in keys:
        table.add_column(key, justify="right")
    for params in samples:
        table.add_row(*(escape(setting(params.get(key, NOT_SET), 4)) for key in keys))
    return table
