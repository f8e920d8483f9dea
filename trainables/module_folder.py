"""A folder of modules in place of a registry: `model: lenet` is the file `trainables/models/lenet.py`."""

import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

from contract.formatting import nearest


class UnknownName(ValueError):
    """A name that a spec gives is not known; the message lists the known ones."""


def names(package: ModuleType) -> list[str]:
    """List the modules in the folder of a package, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def module(package: ModuleType, name: str) -> ModuleType:
    """Import one module of the folder by its file name.

    Raises:
        UnknownName: the folder has no such file.
    """
    file(package, name)
    return importlib.import_module(f"{package.__name__}.{name}")


def file(package: ModuleType, name: str) -> Path:
    """Find the file of one module of the folder, without importing it.

    Raises:
        UnknownName: the folder has no such file.
    """
    known = names(package)
    if name not in known:
        folder = package.__name__.replace(".", "/")
        raise UnknownName(f"no {name!r} in {folder}/{nearest(name, known)}; there is: {', '.join(known)}")
    spec = importlib.util.find_spec(f"{package.__name__}.{name}")
    if spec is None or spec.origin is None:
        raise UnknownName(f"{package.__name__}.{name} is no Python file")
    return Path(spec.origin)
