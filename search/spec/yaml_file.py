"""YAML as people mean it: 1e-4 is a number, a key given twice is a mistake, every key has a line."""

import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from search.errors import Problem, UserError
from search.spec import examples

MOST_CHARACTERS, MOST_VALUES, DEEPEST, LONGEST = 1_000_000, 20_000, 20, 1000
"""Of a file its characters, its keys and values (aliases written out), its levels; of one key or value its length."""
UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and line and paragraph ends."""


class Unreadable(ValueError):
    """A text that is not YAML."""

    def __init__(self, what: str, line: int | None = None, key: str = ""):
        super().__init__(what)
        self.line, self.key = line, key


class Refused(Unreadable):
    """A text that may be YAML, but no spec: too large, too deep, or with characters that nobody sees."""


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, which reads 1e-4 as a string and keeps the last of two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and keys[key.value] > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """A file's mapping, and the line (from 1) of each of its keys by dotted path.

    Raises:
        UserError: missing, unreadable, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError([Problem("", f"no such file; {examples.hint_all()}")], path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError([Problem("", f"cannot be read: {error}")], path) from error
    try:
        content, node = _parsed(text)
    except Unreadable as error:
        place = f"{path}:{error.line}" if error.line else path
        raise UserError([Problem(error.key, str(error))], place) from error
    if not isinstance(content, dict):
        problem = Problem("", f"must be a mapping of keys such as name, data and space; {examples.hint_first()}")
        raise UserError([problem], path)
    return content, _lines(node, "")


def value(text: str) -> Any:
    """One value of the command line, read as in a file; what is not YAML is the text itself.

    Raises:
        Refused: it is too large, or has characters that nobody sees.
    """
    try:
        return _parsed(text)[0]
    except Refused:
        raise
    except Unreadable:
        check_text(text)
        return text


def check_text(text: str) -> None:
    """Refuse a key or a value that cannot be shown on a line: it ends up in tables, file names and other programs.

    Raises:
        Refused: it is too long, or has a control character or half a character in it.
    """
    if len(text) > LONGEST:
        raise Refused(f"has {len(text):,} characters, at most {LONGEST:,} are allowed")
    if odd := next((c for c in text if unicodedata.category(c) in UNSEEN), None):
        raise Refused(f"must be one line of visible characters, without {odd!r}")


def _parsed(text: str) -> tuple[Any, yaml.Node | None]:
    """What a text says, and its nodes.

    Raises:
        Unreadable: it is not YAML; or Refused.
    """
    if len(text) > MOST_CHARACTERS:
        raise Refused(f"has {len(text):,} characters, at most {MOST_CHARACTERS:,} are allowed")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        _check_nodes(node)
        return loader.construct_document(node), node
    except Unreadable:
        raise
    except RecursionError:
        raise Refused(f"is nested more than {DEEPEST} levels deep") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(f"not valid YAML: the character {chr(error.character)!r} is not allowed", line) from error
    except Exception as error:  # of a made text PyYAML raises nearly anything, such as the KeyError of `!!bool x`
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise Unreadable(f"not valid YAML: {what}", mark.line + 1 if mark else None) from error


def _check_nodes(root: yaml.Node) -> None:
    """Refuse what would take forever to walk: an alias is counted as often as it is used.

    Raises:
        Refused: too many values, too deep, or one that cannot be shown.
    """
    left: list[tuple[yaml.Node, int, str]] = [(root, 0, "")]
    seen = 0
    while left:
        node, depth, key = left.pop()
        seen += 1
        line = node.start_mark.line + 1
        if seen > MOST_VALUES:
            raise Refused(f"has more than {MOST_VALUES:,} keys and values, those of aliases (*) counted each time")
        if depth > DEEPEST:
            text = f"is nested more than {DEEPEST} levels deep; does an alias (*) refer to something that contains it?"
            raise Refused(text, line)
        if isinstance(node, yaml.ScalarNode):
            try:
                check_text(node.value)
            except Refused as error:
                raise Refused(str(error), line, key) from None
        elif isinstance(node, yaml.MappingNode):
            for name, child in node.value:
                left += [(name, depth + 1, key), (child, depth + 1, f"{key}.{name.value}" if key else str(name.value))]
        else:
            left += [(child, depth + 1, key) for child in node.value]


def _lines(node: yaml.Node | None, prefix: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            path = f"{prefix}{key.value}"
            for name in (str(key.value), *str(key.value).split(",")):  # keys that are varied together
                lines[f"{prefix}{name.strip()}"] = key.start_mark.line + 1
            lines |= _lines(child, f"{path}.")
    return lines


def with_value(text: str, path: tuple[str, str], new: str) -> str:
    """A file's text with the value of one key replaced, or the key added to its section; comments stay.

    Args:
        text: of a file that `read` has accepted.
        path: section and key; the section is a mapping.
        new: the value as YAML.
    """
    section, key = path
    root = yaml.compose(text, _Loader)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101 (for the type checker: `read` has seen to it)
    entries = {child.value: node for child, node in root.value}.get(section)
    if not isinstance(entries, yaml.MappingNode) or not entries.value:
        return f"{text.rstrip()}\n{section}:\n  {key}: {new}\n"
    for name, node in entries.value:
        if name.value == key:
            return f"{text[: name.end_mark.index]}: {new}{text[_end(node) :]}"
    first = entries.value[0][0].start_mark
    between = ", " if entries.flow_style else "\n" + " " * first.column
    return f"{text[: first.index]}{key}: {new}{between}{text[first.index :]}"


def _end(node: yaml.Node) -> int:
    """Where a node's text ends: of a block, where its last part does, not where the next key begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index
