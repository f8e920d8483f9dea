"""Pickles of arrays and plain values. A pickle can name any function and have it called: this reader knows a few."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

ARRAYS = {"dtype": np.dtype, "ndarray": np.ndarray}
MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
"""What numpy's modules were called when a file was written, and what they are called now."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What a pickle refers to by name: arrays, and nothing else.

        Raises:
            UnpicklingError: it is something else.
        """
        if module in MODULES and name in ARRAYS:
            return ARRAYS[name]
        if module in MODULES and name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        if (module, name) == ("_codecs", "encode"):  # how bytes are written by old protocols
            return _encode
        raise pickle.UnpicklingError(f"it refers to {module}.{name}: not an array or a plain value, so it is not run")


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def read(path: Path) -> Any:
    """The content of a file, texts of Python 2 as latin-1.

    Raises:
        UnpicklingError: it holds more than arrays, numbers, texts, lists, tuples and dicts, or is damaged (which can
            raise nearly anything else too).
    """
    with open(path, "rb") as file:
        return _Reader(file, encoding="latin1").load()
