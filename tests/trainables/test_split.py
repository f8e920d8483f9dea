import numpy as np
import pytest
from made_data import image_data

from trainables.data import DataError, split

COUNTS = (100, 40, 60)


def made(counts=COUNTS):
    """Images without content; only their labels count here."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    part = np.zeros((len(labels), 1, 1, 1), np.uint8), labels
    return image_data(part, part)


def counts(parts, indices) -> list[int]:
    return np.bincount(parts.data.train_labels[indices], minlength=len(COUNTS)).tolist()


def test_each_class_gives_its_part():
    parts = split(made(), validation=0.1, train_fraction=1, seed=0)
    assert counts(parts, parts.validation) == [10, 4, 6]
    assert counts(parts, parts.train) == [90, 36, 54]
    parts = split(made(), validation=0.1, train_fraction=0.5, seed=0)
    assert counts(parts, parts.validation) == [10, 4, 6]
    assert counts(parts, parts.train) == [45, 18, 27]


@pytest.mark.parametrize("validation", [0.1, 0.37, None])
def test_no_image_is_in_two_parts_and_none_is_lost(validation):
    parts = split(made(), validation=validation, train_fraction=1, seed=3)
    held_out = [] if parts.validation is None else parts.validation
    assert sorted([*parts.train, *held_out]) == list(range(sum(COUNTS)))


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
@pytest.mark.parametrize("validation", [0.1, 0.25, None])
def test_a_smaller_fraction_lies_inside_a_larger_one(seed, validation):
    smaller, *larger = (split(made(), validation=validation, train_fraction=f, seed=seed) for f in (0.1, 0.33, 0.5, 1))
    for parts in larger:
        assert set(smaller.train) < set(parts.train)
        assert np.array_equal(smaller.validation, parts.validation) if validation else parts.validation is None
        smaller = parts


def test_without_a_validation_part_all_images_train():
    parts = split(made(), validation=None, train_fraction=1, seed=0)
    assert parts.validation is None
    assert len(parts.train) == sum(COUNTS)


@pytest.mark.parametrize(
    ("counts", "validation", "fraction", "named"),
    [
        ((100, 3), 0.1, 1, "validation 0.1"),
        ((100, 3), None, 0.1, "train_fraction 0.1"),
        ((100, 1), 0.9, 1, "train"),
        ((0, 10), 0.1, 1, "validation 0.1"),
        ((0, 10), None, 1, "train_fraction 1"),
    ],
)
def test_a_class_left_without_images_is_named(counts, validation, fraction, named):
    empty = f"class {np.argmin(counts)}"
    with pytest.raises(DataError, match=f"{named}.*{empty}"):
        split(made(counts), validation=validation, train_fraction=fraction, seed=0)


@pytest.mark.parametrize("validation", [-0.1, 1.5, float("nan")])
def test_a_part_that_is_none_is_refused(validation):
    with pytest.raises(ValueError, match="validation"):
        split(made(), validation=validation, train_fraction=1, seed=0)
