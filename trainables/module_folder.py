"""A folder of modules is the registry: `model: lenet` is the file `trainables/models/lenet.py`."""

import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

from contract.formatting import nearest


class UnknownName(ValueError):
    """No module of that name in the folder; the message lists those that are there."""


def names(package: ModuleType) -> list[str]:
    """The modules in a package's folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def module(package: ModuleType, name: str) -> ModuleType:
    """Import one module of the folder by its file name.

    Raises:
        UnknownName: there is no such file.
    """
    file(package, name)
    return importlib.import_module(f"{package.__name__}.{name}")


def file(package: ModuleType, name: str) -> Path:
    """The file of one module of the folder, which is not imported.

    Raises:
        UnknownName: there is no such file.
    """
    known = names(package)
    if name not in known:
        folder = package.__name__.replace(".", "/")
        raise UnknownName(f"no {name!r} in {folder}/{nearest(name, known)}; there is: {', '.join(known)}")
    spec = importlib.util.find_spec(f"{package.__name__}.{name}")
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 (for the type checker: it was listed)
    return Path(spec.origin)
