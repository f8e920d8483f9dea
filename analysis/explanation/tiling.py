"""Sheets of small pictures with captions, as PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK = "#737c86"
"""To be read on a white and on a dark page: the ground is transparent."""
MARGIN, GAP, FONT_SIZE = 16, 12, 17
LINE = FONT_SIZE + 5
"""Pixels, all of them."""


@dataclass(frozen=True)
class Tile:
    """Pictures beside each other, and lines of text under them."""

    pictures: tuple[np.ndarray, ...]
    """uint8 [H, W, 1 or 3] each."""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Tiles beside each other, and a line of text above them."""

    tiles: Sequence[Tile]
    heading: str = ""


def draw(rows: Sequence[Row], side: int) -> bytes:
    """A PNG file on a transparent ground.

    Args:
        side: pixels that each picture is fitted into; small ones are enlarged without being blurred.
    """
    widths = [sum(len(tile.pictures) * side + GAP for tile in row.tiles) - GAP for row in rows]
    headings = [_font().getlength(row.heading) for row in rows]
    size = (2 * MARGIN + round(max(*widths, *headings)), 2 * MARGIN + sum(_height(row, side) for row in rows) - GAP)
    sheet = Image.new("RGBA", size, f"{INK}00")
    pen, top = ImageDraw.Draw(sheet), MARGIN
    for row in rows:
        pen.text((MARGIN, top), row.heading, INK, _font())
        left, below = MARGIN, top + LINE * bool(row.heading)
        for tile in row.tiles:
            width = len(tile.pictures) * side
            for i, picture in enumerate(tile.pictures):
                fitted = _fitted(picture, side)
                sheet.paste(fitted, (left + i * side + (side - fitted.width) // 2, below + (side - fitted.height) // 2))
            for i, line in enumerate(tile.lines):
                pen.text((left, below + side + 3 + i * LINE), _cut(line, width), INK, _font())
            left += width + GAP
        top += _height(row, side)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _height(row: Row, side: int) -> int:
    lines = bool(row.heading) + max(len(tile.lines) for tile in row.tiles)
    return side + lines * LINE + GAP


def _fitted(picture: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).convert("RGB")
    scale = side / max(image.size)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR)


def _cut(line: str, width: int) -> str:
    """As much of a line as fits."""
    cut = line
    while _font().getlength(cut) > width and len(cut) > 1:
        cut = f"{cut.rstrip('…')[:-1]}…"
    return cut


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE)
