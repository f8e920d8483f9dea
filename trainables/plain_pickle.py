"""Pickles of arrays and plain values.

A pickle can name any function and have it called; this reader admits only those that arrays are built with.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

NUMPY_TYPES = {"dtype": np.dtype, "ndarray": np.ndarray}
NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
"""Names of numpy's modules in pickles of older and of newer versions."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Resolve a name in a pickle: what arrays are built with, and nothing else.

        Raises:
            UnpicklingError: the name is another one.
        """
        if module in NUMPY_MODULES and name in NUMPY_TYPES:
            return NUMPY_TYPES[name]
        if module in NUMPY_MODULES and name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        if (module, name) == ("_codecs", "encode"):  # how bytes are written by old protocols
            return _encode
        raise pickle.UnpicklingError(f"it refers to {module}.{name}: not an array or a plain value, so it is not run")


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def read(path: Path) -> Any:
    """Read the content of a file; texts that Python 2 wrote are read as latin-1.

    Raises:
        UnpicklingError: the file holds more than arrays, numbers, texts, lists, tuples and dicts. A damaged file can
            raise this or nearly anything else.
    """
    with open(path, "rb") as file:
        return _Reader(file, encoding="latin1").load()
