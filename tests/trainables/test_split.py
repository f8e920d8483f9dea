from dataclasses import replace

import numpy as np
import pytest
from made_data import image_data

from trainables.image_data import DataError
from trainables.split import default_validation, split

COUNTS = (100, 40, 60)


def made(counts=COUNTS):
    """Images without content; only their labels count here."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    part = np.zeros((len(labels), 1, 1, 1), np.uint8), labels
    return image_data(part, part)


def with_its_own(n: int = 17):
    """A data set that comes with a validation set."""
    return replace(
        made(), validation_images=np.zeros((n, 1, 1, 1), np.uint8), validation_labels=np.arange(n) % len(COUNTS)
    )


def counts(parts, indices) -> list[int]:
    return np.bincount(parts.data.train_labels[indices], minlength=len(COUNTS)).tolist()


def test_each_class_gives_its_part():
    parts = split(made(), validation=0.1, train_fraction=1, seed=0)
    assert counts(parts, parts.validation) == [10, 4, 6]
    assert counts(parts, parts.train) == [90, 36, 54]
    parts = split(made(), validation=0.1, train_fraction=0.5, seed=0)
    assert counts(parts, parts.validation) == [10, 4, 6]
    assert counts(parts, parts.train) == [45, 18, 27]


@pytest.mark.parametrize(("validation", "fraction"), [(0.1, 1), (0.37, 1), ("rest", 0.5), ("rest", 0.83)])
def test_no_image_is_in_two_parts_and_none_is_lost(validation, fraction):
    parts = split(made(), validation=validation, train_fraction=fraction, seed=3)
    assert parts.validation_part == "train"
    assert sorted([*parts.train, *parts.validation]) == list(range(sum(COUNTS)))


def test_the_rest_of_a_fraction_is_taken_class_by_class():
    parts = split(made(), validation="rest", train_fraction=0.8, seed=0)
    assert counts(parts, parts.train) == [80, 32, 48]
    assert counts(parts, parts.validation) == [20, 8, 12]


@pytest.mark.parametrize(("validation", "n"), [("own", 17), ("test", sum(COUNTS))])
@pytest.mark.parametrize("fraction", [1, 0.5])
def test_a_validation_set_of_its_own_and_the_test_set_are_taken_whole(validation, n, fraction):
    parts = split(with_its_own(), validation=validation, train_fraction=fraction, seed=0)
    assert parts.validation_part == {"own": "validation", "test": "test"}[validation]
    assert parts.validation.tolist() == list(range(n))
    assert counts(parts, parts.train) == [n * fraction for n in COUNTS]


def test_a_part_set_aside_leaves_a_validation_set_of_its_own_alone():
    parts = split(with_its_own(), validation=0.1, train_fraction=1, seed=0)
    assert parts.validation_part == "train"
    assert counts(parts, parts.validation) == [10, 4, 6]


def test_a_validation_set_that_is_not_there_is_not_replaced():
    with pytest.raises(DataError, match="validation own: made has no validation set of its own"):
        split(made(), validation="own", train_fraction=1, seed=0)


def test_its_own_validation_set_is_the_default_where_there_is_one():
    assert default_validation(with_its_own()) == "own"
    assert default_validation(made()) == 0.1


def test_indices_are_sorted_whole_numbers():
    parts = split(made(), validation=0.2, train_fraction=0.5, seed=1)
    for indices in (parts.train, parts.validation):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def test_the_seed_decides():
    def of(seed):
        return split(made(), validation=0.1, train_fraction=0.5, seed=seed)

    assert np.array_equal(of(1).train, of(1).train)
    assert np.array_equal(of(1).validation, of(1).validation)
    assert not np.array_equal(of(1).train, of(2).train)
    assert not np.array_equal(of(1).validation, of(2).validation)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("validation", [0.1, 0.25, "own", "test"])
def test_a_smaller_fraction_lies_inside_a_larger_one(seed, validation):
    smaller, *larger = (
        split(with_its_own(), validation=validation, train_fraction=f, seed=seed) for f in (0.1, 0.33, 0.5, 1)
    )
    for parts in larger:
        assert set(smaller.train) < set(parts.train)
        assert np.array_equal(smaller.validation, parts.validation)
        smaller = parts


@pytest.mark.parametrize("seed", range(5))
def test_the_rest_of_a_larger_fraction_lies_inside_that_of_a_smaller_one(seed):
    smaller, *larger = (split(made(), validation="rest", train_fraction=f, seed=seed) for f in (0.1, 0.33, 0.5, 0.9))
    for parts in larger:
        assert set(smaller.train) < set(parts.train)
        assert set(parts.validation) < set(smaller.validation)
        smaller = parts


@pytest.mark.parametrize("validation", ["own", "test"])
def test_without_a_part_set_aside_all_images_train(validation):
    parts = split(with_its_own(), validation=validation, train_fraction=1, seed=0)
    assert parts.train.tolist() == list(range(sum(COUNTS)))


@pytest.mark.parametrize(
    ("counts", "validation", "fraction", "named"),
    [
        ((100, 3), 0.1, 1, "validation 0.1"),
        ((100, 3), "test", 0.1, "train_fraction 0.1"),
        ((100, 3), "rest", 0.1, "train_fraction 0.1"),
        ((100, 3), "rest", 0.9, "validation rest of train_fraction 0.9"),
        ((99, 100), "rest", 1, "validation rest of train_fraction 1"),
        ((100, 1), 0.9, 1, "train"),
        ((0, 10), 0.1, 1, "train_fraction 1"),
        ((0, 10), "test", 1, "train_fraction 1"),
    ],
)
def test_a_class_left_without_images_is_named(counts, validation, fraction, named):
    empty = f"class {np.argmin(counts)}"
    with pytest.raises(DataError, match=f"{named}.*{empty}"):
        split(made(counts), validation=validation, train_fraction=fraction, seed=0)


@pytest.mark.parametrize("validation", [-0.1, 0, 1, 1.5, float("nan")])
def test_a_part_that_is_none_is_refused(validation):
    with pytest.raises(DataError, match="validation must be between 0 and 1"):
        split(made(), validation=validation, train_fraction=1, seed=0)


@pytest.mark.parametrize("fraction", [-0.1, 0, 1.5, float("nan")])
@pytest.mark.parametrize("validation", [0.1, "rest", "test"])
def test_a_fraction_that_is_none_is_refused(validation, fraction):
    with pytest.raises(DataError, match="train_fraction must be above 0"):
        split(made(), validation=validation, train_fraction=fraction, seed=0)
