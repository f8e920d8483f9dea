"""YAML as people mean it: 1e-4 is a number, a key given twice is a mistake, every key has a line."""

import re
from pathlib import Path
from typing import Any

import yaml

from search.errors import Problem, UserError


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, which reads 1e-4 as a string and keeps the last of two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and keys.count(key.value) > 1:
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
        raise UserError(
            [Problem("", "no such file; the specs that come with the project are in spaces/")], path
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError([Problem("", f"cannot be read: {error}")], path) from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
        lines = _lines(node, "")
    except RecursionError:
        raise UserError(
            [Problem("", "an alias (*) refers to something that contains it: write it out")], path
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        place = f"{path}:{mark.line + 1}" if mark else path
        raise UserError([Problem("", f"not valid YAML: {what}")], place) from error
    if not isinstance(content, dict):
        raise UserError(
            [Problem("", "must be a mapping of keys such as name, data and space; see spaces/quickstart.yaml")], path
        )
    return content, lines


def value(text: str) -> Any:
    """One value of the command line, read as in a file; what is not YAML is the text itself."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError:
        return text


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
