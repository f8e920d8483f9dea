"""YAML as people mean it: 1e-4 is a number, a key given twice is a mistake, every key has a line."""

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from search import example_specs
from search.errors import Problem, UserError

MAX_CHARACTERS = 1_000_000
"""Characters of a file."""
MAX_VALUES = 20_000
"""Keys and values of a file, those that aliases (`*`) refer to counted each time."""
MAX_DEPTH = 20
"""Levels of mappings and lists within each other."""
MAX_TEXT_LENGTH = 1000
"""Characters of one key or value."""
INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and line and paragraph ends."""


class Unreadable(ValueError):
    """A text that is not YAML."""

    def __init__(self, what: str, line: int | None = None, key: str = ""):
        """Say what is wrong.

        Args:
            what: the message.
            line: where it is, counted from 1.
            key: the dotted path of the key that it is about.
        """
        super().__init__(what)
        self.line, self.key = line, key


class Refused(Unreadable):
    """A text that may be YAML, but no spec: it is too large or too deep, or has invisible characters."""


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, which reads 1e-4 as a string and keeps the last of two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
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
    """Read a file.

    Returns:
        Its mapping, and the line (from 1) of each of its keys by dotted path.

    Raises:
        UserError: the file is missing, cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError([Problem("", f"no such file; {example_specs.hint_all()}")], path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError([Problem("", f"cannot be read: {error}")], path) from error
    try:
        content, node = _parsed(text)
    except Unreadable as error:
        place = f"{path}:{error.line}" if error.line else path
        raise UserError([Problem(error.key, str(error))], place) from error
    if not isinstance(content, dict):
        problem = Problem("", f"must be a mapping of keys such as name, data and space; {example_specs.hint_first()}")
        raise UserError([problem], path)
    return content, _lines(node, "")


def value(text: str) -> Any:
    """Read one value of the command line as if it stood in a file; what is not YAML is the text itself.

    Raises:
        Refused: it is too large, or has invisible characters.
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
    if len(text) > MAX_TEXT_LENGTH:
        raise Refused(f"has {len(text):,} characters, at most {MAX_TEXT_LENGTH:,} are allowed")
    if odd := next((c for c in text if unicodedata.category(c) in INVISIBLE), None):
        raise Refused(f"must be one line of visible characters, without {odd!r}")


def _parsed(text: str) -> tuple[Any, yaml.Node | None]:
    """Read a text.

    Returns:
        What it says, and its nodes, from which lines follow.

    Raises:
        Unreadable: it is not YAML.
        Refused: it may be YAML, but no spec.
    """
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"has {len(text):,} characters, at most {MAX_CHARACTERS:,} are allowed")
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
        raise Refused(f"is nested more than {MAX_DEPTH} levels deep") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(f"not valid YAML: the character {chr(error.character)!r} is not allowed", line) from error
    except Exception as error:  # PyYAML can raise nearly anything, such as the KeyError of `!!bool x`
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise Unreadable(f"not valid YAML: {what}", mark.line + 1 if mark else None) from error


def _check_nodes(root: yaml.Node) -> None:
    """Refuse what would take forever to walk: what an alias refers to is counted as often as it is used.

    Raises:
        Refused: there are too many values, they are nested too deep, or one cannot be shown.
    """
    left: list[tuple[yaml.Node, int, str]] = [(root, 0, "")]  # nodes to visit, each with its depth and key
    seen = 0
    while left:
        node, depth, key = left.pop()
        seen += 1
        line = node.start_mark.line + 1
        if seen > MAX_VALUES:
            raise Refused(f"has more than {MAX_VALUES:,} keys and values, those of aliases (*) counted each time")
        if depth > MAX_DEPTH:
            text = (
                f"is nested more than {MAX_DEPTH} levels deep; does an alias (*) refer to something that contains it?"
            )
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
    """The line of each key in a mapping and below, by dotted path."""
    lines: dict[str, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            path = f"{prefix}{key.value}"
            for name in (str(key.value), *str(key.value).split(",")):  # also of each of several keys varied together
                lines[f"{prefix}{name.strip()}"] = key.start_mark.line + 1
            lines |= _lines(child, f"{path}.")
    return lines


def with_value(text: str, path: tuple[str, str], new: str) -> str:
    """Replace the value of one key in a file's text, or add the key to its section; comments stay.

    Args:
        text: the text of a file that `read` has accepted.
        path: the section, which is a mapping, and the key.
        new: the value as YAML.

    Returns:
        The changed text.
    """
    section, key = path
    root = yaml.compose(text, _Loader)
    assert isinstance(root, yaml.MappingNode)  # for the type checker: `read` refuses anything else
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
    """Where a node's text ends: a block ends where its last part does, not where the next key begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index
