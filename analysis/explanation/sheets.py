"""Sheets of what the winning model does: its most confident mistakes, and its feature maps."""

import numpy as np

from analysis.errors import Missing
from analysis.explanation import activations, tiling
from analysis.explanation.own_pictures import Own
from analysis.explanation.predictions import Predictions, percent
from analysis.explanation.tiling import Row, Tile
from analysis.page import Picture

MISTAKES_TITLE, MAPS_TITLE = "The most confident mistakes", "Feature maps after each convolution"
MAX_MISTAKES, COLUMNS = 24, 6
"""Mistakes that are shown, and how many of them stand side by side."""
MISTAKE_PX, MAP_PX = 192, 56
"""The sides of an image and of a feature map."""
MAX_CHANNELS, MAX_LAYERS = 16, 24
"""Channels of a convolution, and convolutions of a network, that are shown."""


def mistakes(found: Predictions) -> Picture:
    """Show the mistakes that the model is surest of.

    Raises:
        Missing: it makes none.
    """
    wrong = found.surest(~found.right)
    if not len(wrong):
        raise Missing(f"The model makes no mistake on the {found.images}.")
    chosen = wrong[:MAX_MISTAKES]
    tiles = [Tile((image,), found.caption(i)) for i, image in zip(chosen, found.pictures(chosen), strict=True)]
    i = chosen[0]
    most_confident = (
        f"The most confident one takes class {found.classes[found.labels[i]]} for {found.classes[found.predicted[i]]} "
        f"with {percent(found.confidence[i])}."
    )
    return Picture(
        title=MISTAKES_TITLE,
        name="mistakes",
        png=tiling.draw([Row(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)], MISTAKE_PX),
        alt=f"{len(tiles)} of the {len(wrong):,} mistakes on {found.images}, under each the probability of the "
        f"predicted class, that class, and the true one. {most_confident}",
    )


def feature_maps(found: Predictions, own: Own | None) -> Picture:
    """Show what each convolution makes of one image.

    It is the first of the user's own pictures, or the image that the model is surest of among those it gets right.

    Raises:
        Missing: the model has no convolution.
    """
    if own:
        image, what, note = own.images[:1], own.names[0], ""
    else:
        i = np.argmax(np.where(found.right, found.confidence, -1))
        image, what = found.pictures(np.array([i])), f"an image of class {found.classes[found.labels[i]]}"
        note = "Among the images that the model classifies correctly, this is the one that it is surest of. "
    maps = activations.feature_maps(found.model.network, found.model.inputs(image))
    names = list(maps)
    if len(names) > MAX_LAYERS:
        names = [names[i] for i in np.linspace(0, len(names) - 1, MAX_LAYERS).round().astype(int)]
    rows = [Row([Tile((image[0],))], f"The input: {what}")]
    for number, name in enumerate(maps, 1):
        if name in names:
            rows.append(_row(f"Convolution {number} (module {name})", maps[name][0].numpy()))
    left_out = f" {len(names)} of {len(maps)} convolutions are shown." if len(names) < len(maps) else ""
    return Picture(
        title=MAPS_TITLE,
        name="feature_maps",
        png=tiling.draw(rows, MAP_PX),
        alt=f"At the top {what}, below it the first channels of {len(names)} convolutions, in the order in which they "
        "compute.",
        note=f"{note}The smallest value of each channel is black, the largest white.{left_out}",
    )


def _row(name: str, maps: np.ndarray) -> Row:
    n, height, width = maps.shape
    first = "all" if n <= MAX_CHANNELS else f"the first {MAX_CHANNELS} of"
    return Row(
        [Tile((_grey(channel),)) for channel in maps[:MAX_CHANNELS]],
        f"{name}: {first} {n} channels, {width} x {height}",
    )


def _grey(channel: np.ndarray) -> np.ndarray:
    """A map as a picture: uint8 [H, W, 1]."""
    shares = (channel - channel.min()) / (np.ptp(channel) or 1)
    return np.asarray((255 * shares).astype(np.uint8)[..., None])
