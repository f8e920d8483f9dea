"""Sheets of small pictures with captions, as PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK = "#737c86"
"""The colour of text, which can be read on a white and on a dark page: the ground is transparent."""
MARGIN_PX, GAP_PX, FONT_PX = 16, 12, 17
LINE_PX = FONT_PX + 5
"""The height of a line of text."""


@dataclass(frozen=True)
class Tile:
    """Pictures beside each other, and lines of text under them."""

    pictures: tuple[np.ndarray, ...]
    """The pictures: uint8 [H, W, 1 or 3] each."""
    lines: tuple[str, ...] = ()
    """The text, line by line."""


@dataclass(frozen=True)
class Row:
    """Tiles beside each other, and a line of text above them."""

    tiles: Sequence[Tile]
    """The tiles, from left to right."""
    heading: str = ""
    """The line above them; empty for none."""


def draw(rows: Sequence[Row], side: int) -> bytes:
    """Draw a sheet on a transparent ground.

    Args:
        rows: the sheet's rows, from top to bottom.
        side: pixels that each picture is fitted into; small ones are enlarged without being blurred.

    Returns:
        The content of a PNG file.
    """
    widths = [sum(len(tile.pictures) * side + GAP_PX for tile in row.tiles) - GAP_PX for row in rows]
    headings = [_font().getlength(row.heading) for row in rows]
    size = (
        2 * MARGIN_PX + round(max(*widths, *headings)),
        2 * MARGIN_PX + sum(_height(row, side) for row in rows) - GAP_PX,
    )
    sheet = Image.new("RGBA", size, f"{INK}00")
    pen, top = ImageDraw.Draw(sheet), MARGIN_PX
    for row in rows:
        pen.text((MARGIN_PX, top), row.heading, INK, _font())
        left, below = MARGIN_PX, top + LINE_PX * bool(row.heading)
        for tile in row.tiles:
            width = len(tile.pictures) * side
            for i, picture in enumerate(tile.pictures):
                fitted = _fitted(picture, side)
                sheet.paste(fitted, (left + i * side + (side - fitted.width) // 2, below + (side - fitted.height) // 2))
            for i, line in enumerate(tile.lines):
                pen.text((left, below + side + 3 + i * LINE_PX), _cut(line, width), INK, _font())
            left += width + GAP_PX
        top += _height(row, side)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _height(row: Row, side: int) -> int:
    lines = bool(row.heading) + max(len(tile.lines) for tile in row.tiles)
    return side + lines * LINE_PX + GAP_PX


def _fitted(picture: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).convert("RGB")
    scale = side / max(image.size)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR)


def _cut(line: str, width: int) -> str:
    """Cut a line to what fits into so many pixels."""
    cut = line
    while _font().getlength(cut) > width and len(cut) > 1:
        cut = f"{cut.rstrip('…')[:-1]}…"
    return cut


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_PX)
