"""Where the winning model looks: Grad-CAM maps over images."""

import numpy as np
import torch
from PIL import Image

from analysis.explanation import activations, tiling
from analysis.explanation.own_pictures import Own
from analysis.explanation.predictions import Predictions, percent
from analysis.explanation.saved_model import SavedModel
from analysis.explanation.tiling import Row, Tile
from analysis.page import Picture

TITLE = "Where the model looks: Grad-CAM"
CLASSES, EACH = 3, 2
"""Of so many classes, so many images that are right and as many mistakes."""
SIDE = 128
STRONGEST = 0.75
"""How much of the image the colour hides at the map's strongest place."""


def grad_cam(found: Predictions, own: Own | None) -> Picture:
    """Images of the classes that the model knows worst, or pictures of one's own, with what speaks for the prediction.

    Raises:
        Missing: the model has no convolution.
    """
    rows = _own_rows(found, own) if own else _chosen_rows(found)
    notes = ["Yellow: the strongest evidence; no colour: none."]
    if own:
        notes.append(own.note)
    else:
        notes.append(
            f"Of {found.images}, the {CLASSES} classes with the lowest accuracy, and of each up to {EACH} right and "
            f"{EACH} wrong predictions, those that the model is surest of."
        )
    n = sum(len(row.tiles) for row in rows)
    return Picture(
        title=TITLE,
        name="grad_cam",
        png=tiling.draw(rows, SIDE),
        alt=f"{n} image{'s' * (n > 1)}, each beside a copy that is coloured where the last convolution finds what "
        "speaks for the predicted class.",
        note=" ".join(notes).strip(),
    )


def _chosen_rows(found: Predictions) -> list[Row]:
    counts = found.counts.sum(1)
    known = np.where(counts > 0, found.counts.diagonal() / np.maximum(counts, 1), np.inf)
    rows = []
    for label in np.argsort(known, kind="stable")[: min(CLASSES, np.count_nonzero(counts))]:
        of_class = found.labels == label
        chosen = np.concatenate([found.surest(of_class & r)[:EACH] for r in (found.right, ~found.right)])
        tiles = _tiles(found.model, found.pictures(chosen), found.predicted[chosen], [*map(found.caption, chosen)])
        rows.append(Row(tiles, f"{found.classes[label]}: {percent(known[label])} of {counts[label]:,} are right"))
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
    return [Row(tiles[i : i + 2 * EACH]) for i in range(0, len(tiles), 2 * EACH)]


def _tiles(model: SavedModel, images: np.ndarray, classes: np.ndarray, captions: list[tuple[str, str]]) -> list[Tile]:
    """Each image beside itself under its map. One at a time: gradients of large networks take memory."""
    tiles = []
    for image, label, caption in zip(images, classes, captions, strict=True):
        map_ = activations.grad_cam(
            model.network, model.inputs(image[None]), torch.tensor([label], device=model.device)
        )
        tiles.append(Tile((image, _overlay(image, map_[0].numpy())), caption))
    return tiles


def _overlay(image: np.ndarray, map_: np.ndarray) -> np.ndarray:
    """Image uint8 [H, W, C] and map float [H', W'] (0..1), in as many pixels as are shown: uint8 [h, w, 3]."""
    import matplotlib

    times = max(1, SIDE // max(image.shape[:2]))
    large = image.repeat(times, 0).repeat(times, 1)
    height, width = large.shape[:2]
    heat = np.asarray(Image.fromarray(map_).resize((width, height), Image.Resampling.BILINEAR))
    hidden = STRONGEST * heat[..., None]
    return ((1 - hidden) * large + hidden * 255 * matplotlib.colormaps["inferno"](heat)[..., :3]).astype(np.uint8)
