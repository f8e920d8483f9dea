"""Writes a page: one HTML file that needs nothing else, and CSV and PNG files beside it."""

import json
import shutil
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis import page, theme
from contract.metrics import is_number

INDEX = "index.html"
"""The page's file in its folder."""
TEMPLATES = Path(__file__).parent / "templates"


def write(folder: Path, title: str, subtitle: str, sections: Sequence[page.Section], *, png: bool) -> Path:
    """Write `index.html`, a CSV file for each table and figure, and PNGs; what an earlier call left is replaced.

    Args:
        folder: where to write; made if need be.
        title: the page's heading.
        subtitle: the line under it.
        sections: what is on the page.
        png: whether to draw the figures as PNG files too.

    Returns:
        The HTML file.

    Raises:
        Missing: the PNGs could not be drawn; all else is there.
    """
    for name in ("csv", "png"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    items = [item for section in sections for item in section.items]
    for item in items:
        if isinstance(item, page.Table):
            (item.frame if item.csv is None else item.csv).to_csv(folder / "csv" / f"{item.name}.csv", index=False)
        elif isinstance(item, page.Figure):
            item.frame.to_csv(folder / "csv" / f"{item.name}.csv", index=False)
        elif isinstance(item, page.Picture):
            (folder / "png" / f"{item.name}.png").write_bytes(item.png)
    path = folder / INDEX
    path.write_text(render(title, subtitle, sections), encoding="utf-8")
    if png:
        from analysis import stills  # here: it takes a second

        stills.draw({item.name: item.figure for item in items if isinstance(item, page.Figure)}, folder / "png")
    return path


def render(title: str, subtitle: str, sections: Sequence[page.Section]) -> str:
    """Make the HTML text. Everything that comes from a record is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "json": _json,
        "base64": _base64,
        "cell": _cell,
        "numeric": _numeric,
    }
    environment.tests["number"] = is_number
    kinds = {name: getattr(page, name) for name in ("Prose", "Absent", "Table", "Figure", "Picture", "Code")}
    environment.tests |= {name.lower(): lambda item, kind=kind: isinstance(item, kind) for name, kind in kinds.items()}
    return environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        style=(TEMPLATES / "style.css").read_text(),
        script=(TEMPLATES / "page.js").read_text(),
        plotly=get_plotlyjs(),
        themes={name: theme.template(dark=name == "dark").to_plotly_json() for name in ("light", "dark")},
    )


def _json(value: Any) -> Markup:
    """JSON to stand in a script element: no text in it can end the element."""
    text = value.to_json() if isinstance(value, go.Figure) else json.dumps(value)
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 (nothing in it is markup)


def _base64(png: bytes) -> str:
    return b64encode(png).decode()


def _numeric(column: pd.Series) -> bool:
    return any(map(is_number, column)) and all(is_number(value) or not _cell(value) for value in column)


def _cell(value: Any) -> str:
    """A table's cell as it is shown."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.5g}"
    return (
        ""
        if value is None
        else str(value).replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")
    )
