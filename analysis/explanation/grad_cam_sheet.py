"""Where the winning model looks: Grad-CAM maps over images."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from analysis.explanation import activations, tiling
from analysis.explanation.own_pictures import Own
from analysis.explanation.predictions import Predictions, percent
from analysis.explanation.saved_model import SavedModel
from analysis.explanation.tiling import Row, Tile
from analysis.page import Picture

Array = np.ndarray[Any, Any]

TITLE = "Where the model looks: Grad-CAM"
MAX_CLASSES = 3
"""Classes that are shown."""
MAX_EACH = 2
"""Images of a class that are classified correctly, and as many mistakes."""
SIDE_PX = 128
"""The side of an image."""
MAX_OPACITY = 0.75
"""How much of the image the colour hides at the map's strongest place."""


def grad_cam(found: Predictions, own: Own | None) -> Picture:
    """Show what speaks for the prediction, on images of the classes that the model knows worst or on own pictures.

    Raises:
        Missing: the model has no convolution.
    """
    rows = _own_rows(found, own) if own else _chosen_rows(found)
    notes = ["Yellow: the strongest evidence; no colour: none."]
    if own:
        notes.append(own.note)
    else:
        notes.append(
            f"Shown are the {MAX_CLASSES} classes with the lowest accuracy on {found.images}: of each up to {MAX_EACH} "
            f"right and {MAX_EACH} wrong predictions, those that the model is surest of."
        )
    n = sum(len(row.tiles) for row in rows)
    return Picture(
        title=TITLE,
        name="grad_cam",
        png=tiling.draw(rows, SIDE_PX),
        alt=f"{n} image{'s' * (n > 1)}, each beside a copy that is coloured where the last convolution finds "
        "evidence for the predicted class.",
        note=" ".join(notes).strip(),
    )


def _chosen_rows(found: Predictions) -> list[Row]:
    counts = found.counts.sum(1)
    known = np.where(counts > 0, found.counts.diagonal() / np.maximum(counts, 1), np.inf)
    rows = []
    for label in np.argsort(known, kind="stable")[: min(MAX_CLASSES, np.count_nonzero(counts))]:
        of_class = found.labels == label
        chosen = np.concatenate([found.surest(of_class & r)[:MAX_EACH] for r in (found.right, ~found.right)])
        tiles = _tiles(found.model, found.pictures(chosen), found.predicted[chosen], [*map(found.caption, chosen)])
        rows.append(
            Row(tiles, f"{found.classes[label]}: {percent(known[label])} of {counts[label]:,} images are right")
        )
    return rows


def _own_rows(found: Predictions, own: Own) -> list[Row]:
    with torch.inference_mode():
        scores = found.model.network(found.model.inputs(own.images))
    probabilities, predicted = scores.float().softmax(1).cpu().max(1)
    captions = [
        (f"{percent(probability)}: {found.classes[label]}", name)
        for label, probability, name in zip(predicted.tolist(), probabilities.tolist(), own.names, strict=True)
    ]
    tiles = _tiles(found.model, own.images, predicted.numpy(), captions)
    return [Row(tiles[i : i + 2 * MAX_EACH]) for i in range(0, len(tiles), 2 * MAX_EACH)]


def _tiles(model: SavedModel, images: Array, classes: Array, captions: list[tuple[str, str]]) -> list[Tile]:
    """Put each image beside a copy under its map; one at a time, for gradients of large networks take memory."""
    tiles = []
    for image, label, caption in zip(images, classes, captions, strict=True):
        map_ = activations.grad_cam(
            model.network, model.inputs(image[None]), torch.tensor([label], device=model.device)
        )
        tiles.append(Tile((image, _overlay(image, map_[0].numpy())), caption))
    return tiles


def _overlay(image: Array, map_: Array) -> Array:
    """Lay a map over an image, in as many pixels as are shown.

    Args:
        image: uint8 [H, W, C].
        map_: float [H', W'] (0..1).

    Returns:
        uint8 [h, w, 3].
    """
    import matplotlib

    times = max(1, SIDE_PX // max(image.shape[:2]))
    large = image.repeat(times, 0).repeat(times, 1)
    height, width = large.shape[:2]
    heat = np.asarray(Image.fromarray(map_).resize((width, height), Image.Resampling.BILINEAR))
    hidden = MAX_OPACITY * heat[..., None]
    colours = np.asarray(matplotlib.colormaps["inferno"](heat))[..., :3]
    mixed: Array = (1 - hidden) * large + hidden * 255 * colours
    return mixed.astype(np.uint8)
