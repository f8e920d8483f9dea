"""Pictures of what the winning model does: its worst mistakes, and its feature maps. Grad-CAM has a file of its own."""

import numpy as np

from analysis.errors import Missing
from analysis.explanation import activations, tiling
from analysis.explanation.own_pictures import Own
from analysis.explanation.predictions import Predictions
from analysis.explanation.tiling import Row, Tile
from analysis.page import Picture

MISTAKES_TITLE, MAPS_TITLE = "The most confident mistakes", "Feature maps after each convolution"
MISTAKES, COLUMNS = 24, 6
MISTAKE_SIDE, MAP_SIDE = 192, 56
"""Pixels."""
CHANNELS, LAYERS = 16, 24
"""The most that are shown of a convolution, and of a network."""


def mistakes(found: Predictions) -> Picture:
    """The mistakes that the model is surest of.

    Raises:
        Missing: it makes none.
    """
    wrong = found.surest(~found.right)
    if not len(wrong):
        raise Missing(f"The model makes no mistake on the {found.images}.")
    chosen = wrong[:MISTAKES]
    tiles = [Tile((image,), found.caption(i)) for i, image in zip(chosen, found.pictures(chosen), strict=True)]
    first, truth = found.caption(chosen[0])
    return Picture(
        title=MISTAKES_TITLE,
        name="mistakes",
        png=tiling.draw([Row(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)], MISTAKE_SIDE),
        alt=f"{len(tiles)} of the {len(wrong):,} mistakes on {found.images}, under each the probability of the "
        f"predicted class, that class, and the true one. The most confident is {first}, {truth}.",
    )


def feature_maps(found: Predictions, own: Own | None) -> Picture:
    """What each convolution makes of one image: the first of one's own, or the right one that the model is surest of.

    Raises:
        Missing: the model has no convolution.
    """
    if own:
        image, what, note = own.images[:1], own.names[0], ""
    else:
        i = np.argmax(np.where(found.right, found.confidence, -1))
        image, what = found.pictures(np.array([i])), f"an image of class {found.classes[found.labels[i]]}"
        note = "Of those that the model classifies correctly it is the one that it is surest of. "
    maps = activations.feature_maps(found.model.network, found.model.inputs(image))
    names = list(maps)
    if len(names) > LAYERS:
        names = [names[i] for i in np.linspace(0, len(names) - 1, LAYERS).round().astype(int)]
    rows = [Row([Tile((image[0],))], f"The input: {what}")]
    for number, name in enumerate(maps, 1):
        if name in names:
            rows.append(_row(f"Convolution {number} (module {name})", maps[name][0].numpy()))
    left_out = f" {len(names)} of {len(maps)} convolutions are shown." if len(names) < len(maps) else ""
    return Picture(
        title=MAPS_TITLE,
        name="feature_maps",
        png=tiling.draw(rows, MAP_SIDE),
        alt=f"On top {what}, under it the first channels of {len(names)} convolutions in their order.",
        note=f"{note}The smallest value of each channel is black, the largest white.{left_out}",
    )


def _row(name: str, maps: np.ndarray) -> Row:
    n, height, width = maps.shape
    first = "all" if n <= CHANNELS else f"the first {CHANNELS} of"
    return Row(
        [Tile((_grey(channel),)) for channel in maps[:CHANNELS]], f"{name}: {first} {n} channels, {width} x {height}"
    )


def _grey(channel: np.ndarray) -> np.ndarray:
    """A map as a picture: uint8 [H, W, 1]."""
    span = np.ptp(channel) or 1
    return (255 * ((channel - channel.min()) / span)).astype(np.uint8)[..., None]
