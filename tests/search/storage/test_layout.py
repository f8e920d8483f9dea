"""The names of a search's files stand in one place, and everything else asks there."""

import ast
from pathlib import Path

import pytest

from contract import record
from search.storage import layout
from search.storage.layout import Layout

PROJECT = Path(__file__).parents[3]
HOMES = {PROJECT / "search" / "storage" / "layout.py", PROJECT / "contract" / "record.py"}
FILES = (
    layout.JOURNAL, layout.STUDY, layout.DATA, layout.POSITION, layout.LEASE, record.SPEC_FILE, record.DESCRIPTION_FILE,
    record.WEIGHTS_FILE,
)  # fmt: skip
FOLDERS = (layout.CHECKPOINTS, layout.ERRORS)
MODULES = sorted(
    path
    for folder in ("search", "benchmarks", "analysis")
    for path in (PROJECT / folder).rglob("*.py")
    if path not in HOMES and "peers" not in path.parts  # other programs, with files of their own
)


def texts(tree: ast.Module) -> list[str]:
    """The strings of a module, the parts of f-strings among them, without docstrings and other bare strings."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in bare)
    return [node.value for node in constants if isinstance(node.value, str)]


def spelled(source: str) -> list[str]:
    """The strings of a module that spell the name of a search's file or folder."""
    return [
        text
        for text in texts(ast.parse(source))
        if any(name in text for name in FILES) or not {*FOLDERS}.isdisjoint(text.split("/"))
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_other_module_spells_the_name_of_a_search_s_file(path: Path):
    assert spelled(path.read_text(encoding="utf-8")) == [], "take it from search.storage.layout or contract.record"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('x = folder / "journal.jsonl"', ["journal.jsonl"]),
        ('folder.glob("results/*/study.log")', ["results/*/study.log"]),
        ('f"checkpoints/{name}.pt"', ["checkpoints/"]),
        ('open(f"{folder}/data.json")', ["/data.json"]),
        ('"""The file journal.jsonl."""\ndef f():\n    "Of checkpoints."\n', []),
        ('say("the checkpoints of the running trials")', []),
    ],
)
def test_a_spelled_name_is_noticed(source: str, found: list[str]):
    assert spelled(source) == found


def test_the_layout_of_a_search_is_what_users_and_older_searches_know(tmp_path: Path):
    files = Layout(tmp_path)
    paths = (
        files.journal, files.study, files.spec, files.data, files.description, files.position, files.checkpoints,
        files.report, files.checkpoint("trial-0001"), files.error("trial-0001"),
    )  # fmt: skip
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "journal.jsonl", "study.log", "spec.yaml", "data.json", "search.json", "tracking.json", "checkpoints",
        "report", "checkpoints/trial-0001.pt", "errors/trial-0001.txt",
    ]  # fmt: skip
    assert layout.stored_checkpoint("trial-0001") == "checkpoints/trial-0001.pt"
    assert layout.journal_part(262144) == "journal/000000000262144.jsonl"
