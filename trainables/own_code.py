"""The user's own models and data sets, by dotted paths: `mynets.wide`, `mynets.wide:build_wide`.

To import such code is to run it, so it is refused until something allows it in this process: --allow-code on the
command line and, in a worker, the task that it was given. Nothing in a spec, a record or the environment can.
"""

import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contract.formatting import first_line, nearest
from trainables.module_folder import UnknownName

DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")

_folder: str | None = None


def allow(folder: str | None) -> None:
    """Let this process import the code of a folder from now on; with None, of no folder.

    The folder comes last on the path: nothing in it takes the place of what is installed.
    """
    global _folder
    _folder = folder
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)


def allowed() -> str | None:
    """Return the folder whose code this process may import, so that workers can be given it; None if there is none."""
    return _folder


def is_dotted(name: str) -> bool:
    """Say whether a name is that of own code: no file of this project's folders has a dot or a colon in its name."""
    return ("." in name or ":" in name) and DOTTED_PATH.fullmatch(name) is not None


def function(path: str, default: str, positional: int) -> Callable[..., Any]:
    """Import the function that a dotted path names.

    Args:
        path: `package.module` or `package.module:function`.
        default: the name of the function where the path names none.
        positional: how many positional parameters it must have; all others are keywords: its options.

    Raises:
        UnknownName: own code is not allowed, or the function cannot be imported or has other parameters.
    """
    if _folder is None:
        raise UnknownName(f"{path} is code of your own: pass --allow-code to run it")
    module_name, _, attribute = path.partition(":")
    attribute = attribute or default
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UnknownName(f"{module_name} cannot be imported from {_folder}: {describe_error(error)}") from error
    found: Callable[..., Any] | None = getattr(module, attribute, None)
    if found is None or not callable(found):
        raise UnknownName(f"{module_name} has no function {attribute!r}{nearest(attribute, dir(module))}")
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except ValueError as error:
        raise UnknownName(f"{path}: its parameters cannot be read ({error})") from error
    others = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if len(others) != positional or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in others):
        count = "one argument" if positional == 1 else f"{positional} arguments"
        raise UnknownName(
            f"{path}{inspect.signature(found)}: must take {count}, then its options behind a *, each with a name"
        )
    return found


def describe_error(error: BaseException) -> str:
    """Describe an error of own code in a line: its type, its text, and the line of the code where it arose."""
    folder = Path(_folder or "")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder) and "site-packages" not in frame.filename
    ]
    where = f" ({Path(frames[-1].filename).relative_to(folder)}:{frames[-1].lineno})" if _folder and frames else ""
    return f"{type(error).__name__}: {first_line(error)}{where}"
