"""Conformance tests for models and data sets, to be called from the tests of whoever writes one.

A test of a model of your own takes these lines:

    from mynets.wide import build
    from trainables.testing import check_model

    def test_wide():
        check_model(build, input_shapes=[(3, 32, 32)], num_classes=10)

A test of a data set takes a folder with a small instance of its files; options of `load` are given by name:

    from mydata.cells import load
    from trainables.testing import check_dataset

    def test_cells(tmp_path):
        write_a_few_pictures(tmp_path / "cells")
        check_dataset(load, tmp_path, image_size=32)

Both raise an AssertionError that says what is wrong. No test framework is needed.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainables import model_checks
from trainables.cache import CACHE_VARIABLE
from trainables.dataset_checks import check_arrays, check_classes, check_parts, check_same, check_statistics
from trainables.image_data import ImageData
from trainables.model_checks import Build, Shape

INPUT_SHAPES: tuple[Shape, ...] = ((1, 32, 32), (3, 32, 32), (1, 64, 64), (3, 64, 64))


def check_model(build: Build, *, input_shapes: Sequence[Shape] = INPUT_SHAPES, num_classes: int = 7) -> None:
    """Check that a model can be trained, evaluated and continued as any other.

    Args:
        build: the function that builds it, `build(input_shape, num_classes, *, options...)`.
        input_shapes: the shapes (channels, height, width) of images to try.
        num_classes: the number of classes to try, at least 3.

    Raises:
        AssertionError: the model breaks a rule; the message says which.
    """
    model_checks.check_signature(build)
    for shape in input_shapes:
        model = model_checks.built(build, shape, num_classes)
        model_checks.check_scores(model, shape, num_classes)
        model_checks.check_gradients(model, shape)
        model_checks.check_evaluation(model, shape)
    model_checks.check_plain_images(build, input_shapes[0], num_classes)
    model_checks.check_seed(build, input_shapes[0], num_classes)
    model_checks.check_separate_builds(build, input_shapes[0], num_classes)


def check_dataset(load: Callable[..., ImageData], root: Path, **options: Any) -> ImageData:
    """Check that a data set is complete and the same whenever it is loaded.

    Args:
        load: the function that loads it, `load(root, *, options...)`.
        root: the folder with the files of a small instance of the data set.
        options: keyword arguments of `load`.

    Returns:
        The data set.

    Raises:
        AssertionError: the data set breaks a rule; the message says which.
    """
    data = _decoded(load, root, options)
    check_arrays(data)
    check_classes(data)
    check_parts(data)
    check_statistics(data)
    check_same(data, _decoded(load, root, options))
    return data


def _decoded(load: Callable[..., ImageData], root: Path, options: dict[str, Any]) -> ImageData:
    """Load a data set with an empty cache."""
    before = os.environ.get(CACHE_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="check-dataset-") as folder:
        os.environ[CACHE_VARIABLE] = folder
        try:
            return load(root, **options)
        finally:
            del os.environ[CACHE_VARIABLE]
            if before is not None:
                os.environ[CACHE_VARIABLE] = before
