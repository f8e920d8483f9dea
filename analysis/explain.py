"""The page's section on what the winning model does: accuracy by class, mistakes, Grad-CAM, feature maps."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from analysis.errors import Missing
from analysis.explanation.predictions import Predictions, percent, predictions
from analysis.page import Absent, Figure, Item, Prose, Table
from analysis.plots import class_accuracy, confusion
from analysis.record import Record

REPORT_TITLE = "Classification report"
MEASURES = ("precision", "recall", "f1", "images")
MAX_PLAIN_ROWS = 20
"""Rows above which a table can be sorted and filtered."""


def items(record: Record, images: Path | None = None) -> tuple[Item, ...]:
    """Everything that the section shows; what cannot be made is replaced by the reason.

    Args:
        record: the search.
        images: a folder of pictures to look at with Grad-CAM, instead of the data set's.
    """
    try:
        found = predictions(record)
    except Missing as error:
        return (Absent("What the winning model does", str(error)),)
    from analysis.explanation import grad_cam_sheet, own_pictures, sheets  # here: they take torch, and seconds

    @cache
    def own() -> own_pictures.Own | None:
        return own_pictures.read(images, found.model.data.data.input_shape) if images else None

    return (
        Prose(_introduction(found, confirmed=bool(record.confirmed))),
        _or_absent(class_accuracy.TITLE, lambda: _figure(class_accuracy, record)),
        _or_absent(confusion.TITLE, lambda: _figure(confusion, record, confusion.min_width(record))),
        _or_absent(REPORT_TITLE, lambda: _report(record)),
        _or_absent(sheets.MISTAKES_TITLE, lambda: sheets.mistakes(found)),
        _or_absent(grad_cam_sheet.TITLE, lambda: grad_cam_sheet.grad_cam(found, own())),
        _or_absent(sheets.MAPS_TITLE, lambda: sheets.feature_maps(found, own())),
    )


def classification_report(record: Record) -> pd.DataFrame:
    """The model's precision, recall and F1 (0..1) for each class that is there or predicted, and their averages.

    The averages over classes are unweighted (macro) and weighted by their images.

    Raises:
        Missing: weights or images cannot be had.
    """
    from sklearn import metrics  # here: it takes seconds

    found = predictions(record)
    present = np.union1d(found.labels, found.predicted)
    measured = metrics.precision_recall_fscore_support(found.labels, found.predicted, labels=present, zero_division=0)
    frame = pd.DataFrame(dict(zip(MEASURES, measured, strict=True)))
    frame.insert(0, "class", [found.classes[label] for label in present])
    averages = []
    for how in ("macro", "weighted"):
        values = metrics.precision_recall_fscore_support(found.labels, found.predicted, average=how, zero_division=0)
        averages.append(
            {"class": f"{how} average", **dict(zip(MEASURES, values, strict=True)), "images": len(found.labels)}
        )
    return pd.concat([frame, pd.DataFrame(averages)], ignore_index=True)


def _introduction(found: Predictions, *, confirmed: bool) -> str:
    accuracies = [percent(np.mean(p.argmax(1) == found.labels)) for p in found.probabilities]
    if not confirmed:
        untouched = "Nothing was confirmed, so the test set was not used."
        part = "They are the test set." if found.model.data.validation_part == "test" else untouched
        return f"The model of {found.model_name} classifies {accuracies[0]} of the {found.images} correctly. {part}"
    seeds = ", ".join(f"{accuracy} with seed {m.seed}" for accuracy, m in zip(accuracies, found.models, strict=True))
    return (
        f"Of the {found.images}, the winner classifies correctly: {seeds}. Where a single model is shown, it is that "
        f"of {found.model_name}."
    )


def _or_absent(title: str, make: Callable[[], Item]) -> Item:
    try:
        return make()
    except Missing as error:
        return Absent(title, str(error))


def _figure(plot: ModuleType, record: Record, min_width: int = 0) -> Figure:
    frame = plot.prepare(record)
    figure = plot.draw(frame, record)
    name = plot.__name__.rpartition(".")[2]
    return Figure(_on(plot.TITLE, record), name, figure, frame, plot.describe(frame, record), min_width=min_width)


def _report(record: Record) -> Table:
    frame = classification_report(record)
    shown = frame.round(3)
    return Table(
        _on(REPORT_TITLE, record),
        "classification_report",
        shown,
        note=f"The model of {predictions(record).model_name}.",
        interactive=len(frame) > MAX_PLAIN_ROWS,
        csv=frame,
    )


def _on(title: str, record: Record) -> str:
    return f"{title} on {predictions(record).images}"
