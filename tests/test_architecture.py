"""What docs/architecture.md says of the code is so: the drawing, the names, the groups; and so is the glossary."""

import importlib
import re
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "docs"))
import draw_imports  # noqa: E402 (docs/ is no package)
from test_imports import GROUPS  # noqa: E402

PAGE = (PROJECT / "docs" / "architecture.md").read_text()
GLOSSARY = (PROJECT / "docs" / "glossary.md").read_text()
NAMES = sorted(set(re.findall(r"`([a-z_.]+:[A-Za-z_.]+)`", PAGE)))


def test_the_drawing_is_that_of_the_code():
    assert draw_imports.page() == PAGE, "run: python docs/draw_imports.py"


def test_nothing_in_the_drawing_runs_in_a_circle():
    arrows = {tuple(line.split(" --> ")) for line in draw_imports.drawing().splitlines() if "-->" in line}
    left = {name.strip() for arrow in arrows for name in arrow}
    while left:
        ends = left - {one.strip() for one, other in arrows if other.strip() in left}
        assert ends, f"a circle among {sorted(left)}"
        left -= ends


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_is_there(name):
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)


def test_the_page_names_both_ways_and_every_group():
    assert len(NAMES) > 15
    rows = re.findall(r"^\| `([a-z]+)/` \|", PAGE.partition("## The groups")[2], re.M)
    assert tuple(rows) == GROUPS


def test_every_term_of_the_glossary_is_a_sentence_of_its_own():
    terms = re.findall(r"^\*\*(.+?)\*\*: (.+?)\n\n", GLOSSARY + "\n\n", re.M | re.S)
    assert len(terms) >= 25
    assert len({term for term, _ in terms}) == len(terms)
    assert all(text.rstrip().endswith(".") and text[0].isupper() for _, text in terms), terms


def test_the_glossary_names_what_is_in_the_code():
    files = [path for folder in ("contract", "search", "trainables") for path in (PROJECT / folder).rglob("*.py")]
    code = "\n".join(path.read_text() for path in files)
    named = set(re.findall(r"`([A-Za-z_]+)`", GLOSSARY))
    assert len(named) > 15
    assert not [name for name in named if not re.search(rf"\b{name}\b", code)]
