"""Draws who imports whom, from the code itself: `python docs/draw_imports.py` puts it into docs/architecture.md.

An arrow that follows from two others is left out. `tests/test_architecture.py` fails when the page is not up to date.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "architecture.md"
PACKAGES = ("contract", "trainables", "search", "analysis")
BEGIN, END = "<!-- drawn by docs/draw_imports.py -->\n", "<!-- end of the drawing -->"


def drawing() -> str:
    """The arrows as a Mermaid graph: the packages, and the groups of search/."""
    arrows = _reduced(_arrows())
    names = sorted({name for arrow in arrows for name in arrow})
    nodes = [f"  {_id(name)}[{name}]" for name in names]
    lines = [f"  {_id(one)} --> {_id(other)}" for one, other in sorted(arrows)]
    return "\n".join(["```mermaid", "graph TD", *nodes, *lines, "```", ""])


def page() -> str:
    """The page with the drawing as it is now."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{drawing()}{END}{rest.partition(END)[2]}"


def _arrows() -> set[tuple[str, str]]:
    found = set()
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            one = _room(".".join(path.relative_to(PROJECT).with_suffix("").parts))
            found |= {(one, other) for name in _imported(path) if (other := _room(name)) and other != one}
    return {(one, other) for one, other in found if one and other}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _room(module: str) -> str:
    """The group of search/ that a module is in, the package elsewhere; empty for what is not ours."""
    package, _, rest = module.partition(".")
    if package not in PACKAGES:
        return ""
    group = rest.partition(".")[0]
    if package == "search" and group:
        return f"search/{group}" if (PROJECT / package / group).is_dir() else f"search/{group}.py"
    return package


def _reduced(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without the arrows that follow from others."""
    after: dict[str, set[str]] = {}
    for one, other in arrows:
        after.setdefault(one, set()).add(other)

    def reaches(start: str, end: str) -> bool:
        return any(step == end or reaches(step, end) for step in after.get(start, ()))

    return {
        (one, other) for one, other in arrows if not any(step != other and reaches(step, other) for step in after[one])
    }


def _id(name: str) -> str:
    return name.replace("/", "_").replace(".", "_")


if __name__ == "__main__":
    PAGE.write_text(page())
