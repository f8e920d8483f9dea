"""The tables of what is private in a library: a row's test fails with the row's own words."""

import contextlib
import re
from collections.abc import Iterator
from types import ModuleType

import pytest


def rows(module: ModuleType) -> dict[str, str]:
    """What breaks without each thing, by the thing."""
    lines = re.findall(r"^\| (.+?) \| .+? \| (.+?) \|$", module.__doc__ or "", re.MULTILINE)
    return {what: breaks for what, breaks in lines if what != "what"}


@contextlib.contextmanager
def row(module: ModuleType, what: str) -> Iterator[None]:
    """Test one row."""
    breaks = rows(module)[what]
    try:
        yield
    except Exception as error:
        pytest.fail(f"{what} is not what it was ({type(error).__name__}: {error}): {breaks}")
