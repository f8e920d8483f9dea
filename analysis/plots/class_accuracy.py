"""How many images of each class the winner gets right: a dot a seed, and the mean."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis import theme
from analysis.explanation.predictions import percent, predictions, short
from analysis.record import Record

TITLE = "Accuracy by class"
SECTION = "predictions"
MAX_ENDS = 25
"""So many of the best and of the worst classes are shown, where there are more than twice as many."""
GAP = "⋮"


def prepare(record: Record) -> pd.DataFrame:
    """A row a class and seed, the best classes first: class, seed, images, accuracy, mean (0..1, over the seeds)."""
    found = predictions(record)
    counts = np.bincount(found.labels, minlength=len(found.classes))
    present = counts.nonzero()[0]
    parts = []
    for model, probabilities in zip(found.models, found.probabilities, strict=True):
        right = found.labels[probabilities.argmax(1) == found.labels]
        accuracy = np.bincount(right, minlength=len(counts))[present] / counts[present]
        names = [found.classes[label] for label in present]
        parts.append(
            pd.DataFrame({"class": names, "seed": model.seed, "images": counts[present], "accuracy": accuracy})
        )
    frame = pd.concat(parts)
    frame["mean"] = frame.groupby("class")["accuracy"].transform("mean")
    return frame.sort_values(["mean", "class", "seed"], ascending=[False, True, True], ignore_index=True)


def draw(frame: pd.DataFrame, _record: Record) -> go.Figure:
    """A line a class, the best on top."""
    ranked = frame["class"].drop_duplicates().tolist()
    places = ranked if len(ranked) <= 2 * MAX_ENDS else [*ranked[:MAX_ENDS], GAP, *ranked[-MAX_ENDS:]]
    shown = frame[frame["class"].isin(places)]
    means = shown.drop_duplicates("class")
    several = frame["seed"].nunique() > 1
    seeds = go.Scatter(
        x=100 * shown["accuracy"],
        y=shown["class"],
        mode="markers",
        name="one seed",
        showlegend=several,
        marker={"color": theme.CATEGORIES[1], "size": 8, "symbol": "circle-open", "line": {"width": 1.5}},
        customdata=shown[["seed", "images"]],
        hovertemplate="%{y}, seed %{customdata[0]}: %{x:.1f} % of %{customdata[1]:,}<extra></extra>",
    )
    mean = go.Scatter(
        x=100 * means["mean"],
        y=means["class"],
        mode="markers",
        name="mean",
        showlegend=several,
        marker={"color": theme.ACCENT, "size": 10, "symbol": "diamond"},
        customdata=means["images"],
        hovertemplate="%{y}: %{x:.1f} % of %{customdata:,}<extra></extra>",
    )
    x = "% of the class's images classified correctly"
    figure = theme.figure(seeds, mean, x=x, height=110 + 20 * max(6, len(places)))
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=places,
        range=[len(places) - 0.5, -0.5],
        tickvals=places,
        ticktext=[short(name) for name in places],
    )
    return figure


def describe(frame: pd.DataFrame, record: Record) -> str:
    """Say which classes are classified best and worst."""
    means = frame.drop_duplicates("class")
    best, worst, n = means.iloc[0], means.iloc[-1], frame["seed"].nunique()
    left_out = f" The {MAX_ENDS} best and the {MAX_ENDS} worst of {len(means)} are shown."
    return (
        f"On {predictions(record).images}, class {best['class']} is classified best ({percent(best['mean'])} "
        f"correctly), class {worst['class']} worst ({percent(worst['mean'])})"
        f"{f'; means over {n} seeds' if n > 1 else ''}.{left_out if len(means) > 2 * MAX_ENDS else ''}"
    )
