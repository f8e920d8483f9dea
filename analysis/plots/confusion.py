"""Which classes the winner takes for which others."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.explanation.predictions import percent, predictions, short
from analysis.record import Record

TITLE = "Confusion matrix"
SECTION = "predictions"
MAX_CLASSES, MAX_NUMBERED_CLASSES = 50, 12
"""Classes that there is room for, without and with a number in each cell."""
CELL_PX, NUMBERED_CELL_PX = 14, 34
"""The height of a cell, without and with a number."""
MAX_NAME_LENGTH = 14
"""Letters of a class's name on an axis."""
ERRORS = [(0, "rgba(213,94,0,0)"), (1, "rgba(213,94,0,0.9)")]
"""The colour scale of mistakes: none is transparent, whatever the ground's colour."""


def prepare(record: Record) -> pd.DataFrame:
    """A row a pair of classes that occurs: true, predicted, images, part (of the true class's images, 0..1)."""
    found = predictions(record)
    true, predicted = found.counts.nonzero()
    images = found.counts[true, predicted]
    names = np.array(found.classes, dtype=object)
    return pd.DataFrame(
        {
            "true": names[true], "predicted": names[predicted], "images": images,
            "part": images / found.counts.sum(1)[true],
        }
    )  # fmt: skip


def draw(frame: pd.DataFrame, record: Record) -> go.Figure:
    """Rows are true classes; mistakes are coloured, what is right is grey, so that it does not drown them."""
    classes = _shown(frame, record)
    images, part = (_matrix(frame, value, classes) for value in ("images", "part"))
    diagonal, numbered = np.eye(len(classes), dtype=bool), len(classes) <= MAX_NUMBERED_CLASSES
    errors = np.where(diagonal, 0, 100 * part)
    mistakes = go.Heatmap(
        x=classes, y=classes, z=errors, colorscale=ERRORS, zmin=0, zmax=max(1, errors.max()), xgap=1, ygap=1,
        customdata=np.dstack([images, 100 * part]), showscale=not numbered, colorbar={"thickness": 12},
        hovertemplate="true: %{y}, predicted: %{x}<br>%{customdata[0]:,} images, %{customdata[1]:.1f} % of the true "
        "class<extra></extra>",
    )  # fmt: skip
    right = go.Heatmap(
        x=classes, y=classes, z=np.where(diagonal, 1, np.nan), colorscale=[(0, theme.FADED), (1, theme.FADED)],
        showscale=False, xgap=1, ygap=1, hoverinfo="skip",
    )  # fmt: skip
    traces = [right, mistakes]
    if numbered:
        traces.append(_numbers(classes, part))
    height = 130 + len(classes) * (NUMBERED_CELL_PX if numbered else CELL_PX)
    figure = theme.figure(*traces, x="predicted class (% of the true class)", y="true class", height=height)
    names = [short(name, MAX_NAME_LENGTH) for name in classes]
    axis = {"type": "category", "tickvals": classes, "ticktext": names, "ticks": "", "showgrid": False}
    figure.update_xaxes(title_standoff=12, **axis)
    figure.update_yaxes(title_standoff=8, autorange="reversed", **axis)
    return figure


def min_width(record: Record) -> int:
    """The pixels that the cells and names need; a few classes fit on a phone."""
    n = min(MAX_CLASSES, len(predictions(record).classes))
    return 0 if n <= MAX_NUMBERED_CLASSES else 160 + CELL_PX * n


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say how often the model is right, and which mistakes are the most frequent."""
    found = predictions(record)
    text = f"The model of {found.model_name} gets {percent(found.right.mean())} of {found.images} right."
    mistakes = frame[frame["true"] != frame["predicted"]].sort_values("part", ascending=False).head(3)
    if mistakes.empty:
        return text
    named = "; ".join(
        f"{m['true']} is taken for {m['predicted']} in {percent(m['part'])} of its images ({m['images']:,})"
        for _, m in mistakes.iterrows()
    )
    n = len(found.classes)
    left_out = f" Shown are the {MAX_CLASSES} of {n} classes with the most mistakes." if n > MAX_CLASSES else ""
    return f"{text} The most frequent mistakes: {named}.{left_out}"


def _shown(frame: pd.DataFrame, record: Record) -> list[str]:
    """The classes in their own order; where there are too many, those with the largest share of mistakes."""
    right = frame[frame["true"] == frame["predicted"]].set_index("true")["part"]
    recall = right.reindex(frame["true"].unique(), fill_value=0)
    worst = set(recall.sort_values(kind="stable").index[:MAX_CLASSES])
    classes = list(predictions(record).classes)
    return [name for name in classes if name in worst] if len(classes) > MAX_CLASSES else classes


def _matrix(frame: pd.DataFrame, value: str, classes: list[str]) -> np.ndarray:
    table = frame.pivot(index="true", columns="predicted", values=value)
    return table.reindex(index=classes, columns=classes).fillna(0).to_numpy()


def _numbers(classes: list[str], part: np.ndarray) -> go.Scatter:
    """Write the percentage into each cell that is not empty."""
    rows, columns = (100 * part >= 0.5).nonzero()
    texts = [f"{100 * part[i, j]:.0f}" for i, j in zip(rows, columns, strict=True)]
    return go.Scatter(
        x=[classes[j] for j in columns], y=[classes[i] for i in rows], text=texts, mode="text", hoverinfo="skip",
        textfont={"size": 12}, showlegend=False,
    )  # fmt: skip
