"""The parts of a page: sections of figures, tables, pictures and text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Absent:
    """The reason why a figure, table or picture is not there, in its place."""

    title: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A table; `name` is its CSV file's. Long ones can be sorted and filtered in the browser."""

    title: str
    name: str
    frame: pd.DataFrame
    """The table as it is shown: cells are text or numbers."""
    note: str = ""
    interactive: bool = False
    csv: pd.DataFrame | None = None
    """What the CSV file holds, where that is more than is shown."""


@dataclass(frozen=True)
class Figure:
    """A figure; `name` is its CSV and PNG files'."""

    title: str
    name: str
    figure: go.Figure
    frame: pd.DataFrame
    """The numbers behind it."""
    alt: str
    """What it shows, in words."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the page's script needs of it."""
    min_width: int = 0
    """Pixels under which it scrolls sideways in its own frame, on a phone."""


@dataclass(frozen=True)
class Picture:
    """A PNG picture; `name` is its file's."""

    title: str
    name: str
    png: bytes
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Code:
    """A text as it was written, folded away."""

    title: str
    text: str


Item = Prose | Absent | Table | Figure | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    id: str
    title: str
    items: tuple[Item, ...]
