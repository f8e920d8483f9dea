"""A pickle from elsewhere holds arrays and plain values, or is refused before any of it is run."""

import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from made_data import cifar10_parts, write_cifar10_batches

from trainables import plain_pickle
from trainables.datasets import cifar10
from trainables.image_data import DataError


class Runs:
    """Leaves a file when it is unpickled."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_and_plain_values_are_read(tmp_path, protocol):
    content = {
        "data": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "labels": [1, 2],
        "name": "x",
        "raw": b"\xff\0",
        "n": 1.5,
    }
    (tmp_path / "made").write_bytes(pickle.dumps(content, protocol))
    found = plain_pickle.read(tmp_path / "made")
    assert np.array_equal(found.pop("data"), content.pop("data"))
    assert found == content


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_of_older_versions_are_read(tmp_path, module):
    raw = pickle.dumps(np.arange(3), 0).replace(b"numpy._core.multiarray", module.encode())
    (tmp_path / "made").write_bytes(raw)
    assert plain_pickle.read(tmp_path / "made").tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "value",
    [
        Runs(os.system, "touch run"), Runs(eval, "open('run', 'w')"), Runs(exec, "open('run', 'w')"),
        Runs(open, "run", "w"), Runs(getattr, "x", "join"), collections.OrderedDict(a=1), Path("run"), os.getcwd,
        np.load,
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_not_run(tmp_path, monkeypatch, protocol, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made").write_bytes(pickle.dumps({"data": value}, protocol))
    with pytest.raises(pickle.UnpicklingError, match="not an array or a plain value"):
        plain_pickle.read(tmp_path / "made")
    assert not (tmp_path / "run").exists()


def test_a_batch_of_cifar10_that_would_run_a_command_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_cifar10_batches(tmp_path, cifar10_parts()) / "data_batch_2"
    path.write_bytes(pickle.dumps({"data": Runs(os.system, "touch run"), "labels": []}, 2))
    with pytest.raises(DataError, match=r"data_batch_2 is damaged \(it refers to (posix|os).system"):
        cifar10.load(tmp_path)
    assert not (tmp_path / "run").exists()
