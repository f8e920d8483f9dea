"""Differences by hand, and verdicts that do not say more than the runs do."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.errors import Missing
from analysis.statistics import Difference, difference

T2 = 4.302652729911275
"""Student's t for 95 %, with two degrees of freedom."""


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def series(values: dict[int, float]) -> pd.Series:
    return pd.Series(values, dtype=float)


def test_runs_of_equal_seeds_are_paired():
    # The differences are 0.1, 0.2 and 0.3, whatever the order of the seeds: mean 0.2, standard deviation 0.1.
    found = difference(series({7: 0.9, 8: 0.5, 9: 0.7}), series({9: 0.4, 7: 0.8, 8: 0.3}))
    assert (found.paired, found.sizes, found.left_out) == (True, (3, 3), 0)
    assert found.mean == pytest.approx(0.2)
    half = T2 * 0.1 / math.sqrt(3)
    assert found.t == pytest.approx((0.2 - half, 0.2 + half))
    # All three alike has probability 1/27, more than 2.5 %: the interval ends at the runs themselves.
    assert found.bootstrap == pytest.approx((0.1, 0.3))


def test_runs_without_a_partner_are_left_out_and_counted():
    found = difference(series({0: 0.5, 1: 0.6, 2: 99}), series({0: 0.4, 1: 0.4, 5: -99, 6: -99}))
    assert found.mean == pytest.approx(0.15)
    assert (found.sizes, found.left_out) == ((2, 2), 3)
    assert "3 runs left out" in found.n


def test_one_shared_seed_is_no_match():
    found = difference(series({0: 0.5, 1: 0.7}), series({0: 0.2, 2: 0.4, 3: 0.6}))
    assert (found.paired, found.sizes, found.left_out) == (False, (2, 3), 0)
    assert found.mean == pytest.approx(0.2)
    welch = stats.ttest_ind([0.5, 0.7], [0.2, 0.4, 0.6], equal_var=False).confidence_interval()
    assert found.t == pytest.approx((welch.low, welch.high))
    # The least and the most mean, 0.5 - 0.6 and 0.7 - 0.2, come about too seldom to be the ends: 1 in 108.
    assert -0.1 < found.bootstrap[0] < 0 < 0.4 < found.bootstrap[1] < 0.5


def test_what_is_no_number_is_no_run():
    found = difference(series({0: 0.5, 1: 0.7, 2: math.nan}), series({0: 0.4, 1: 0.4, 2: 0.1, 3: math.inf}))
    assert found.mean == pytest.approx(0.2)
    assert (found.sizes, found.left_out) == ((2, 2), 1)


@pytest.mark.parametrize("empty", [{}, {0: math.nan}])
def test_nothing_to_compare(empty):
    with pytest.raises(Missing, match="no value"):
        difference(series(empty), series({0: 0.1}))


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ({0: 0.9}, {0: 0.8}, "no interval from one run each"),
        ({0: 0.9}, {1: 0.8, 2: 0.7}, "no interval with one run on a side"),
    ],
)
def test_one_run_has_no_interval(a, b, verdict):
    found = difference(series(a), series(b))
    assert found.bootstrap is None
    assert found.t is None
    assert found.verdict() == verdict


@pytest.mark.parametrize("seeds", [(0, 1, 2), (5, 6, 7)], ids=["paired", "not paired"])
def test_runs_without_spread_are_not_certain(seeds):
    found = difference(series(dict.fromkeys((0, 1, 2), 0.8)), series(dict.fromkeys(seeds, 0.7)))
    assert found.t == pytest.approx((0.1, 0.1))
    assert found.bootstrap == pytest.approx((0.1, 0.1))
    assert found.verdict().startswith("not certain, better by the same")


@pytest.mark.parametrize("seeds", [(0, 1, 2), (5, 6, 7)], ids=["paired", "not paired"])
def test_a_rounding_error_is_no_difference(seeds):
    found = difference(series(dict.fromkeys((0, 1, 2), 0.1 + 0.2)), series(dict.fromkeys(seeds, 0.3)))
    assert found.mean == 0
    assert found.verdict() == "equal in every run"


def made(bootstrap: tuple[float, float], t: tuple[float, float]) -> Difference:
    return Difference(sum(t) / 2, (3, 3), True, 0, bootstrap, t)


@pytest.mark.parametrize(
    ("bootstrap", "t", "maximize", "verdict"),
    [
        ((1, 3), (0.5, 3.5), True, "better, both intervals exclude zero"),
        ((1, 3), (0.5, 3.5), False, "worse, both intervals exclude zero"),
        ((-3, -1), (-3.5, -0.5), True, "worse, both intervals exclude zero"),
        ((-3, -1), (-3.5, -0.5), False, "better, both intervals exclude zero"),
        ((1, 3), (-1, 5), True, "not certain, the t interval includes zero"),
        ((0, 3), (0.5, 3), True, "not certain, the bootstrap interval includes zero"),
        ((-1, 3), (-2, 4), True, "not certain, both intervals include zero"),
    ],
)
def test_verdicts(bootstrap, t, maximize, verdict):
    assert made(bootstrap, t).verdict(maximize) == verdict


def test_a_difference_in_words():
    found = made((0.01, 0.03), (-0.012, 0.052))
    assert found.describe("val_accuracy", True) == (
        "+2.00 percentage points (95 % t interval -1.20 to +5.20, bootstrap +1.00 to +3.00), 3 pairs of runs with the "
        "same seed: not certain, the t interval includes zero."
    )
    assert found.describe("val_loss", False).startswith("+0.0200 (95 % t interval -0.0120 to +0.0520")


def test_the_bootstrap_is_repeated_exactly():
    a, b = series(dict(enumerate(np.linspace(0, 1, 9) ** 2))), series(dict(enumerate(np.linspace(0, 0.3, 9))))
    assert difference(a, b) == difference(a, b)


def test_t_intervals_hold_the_true_difference_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = {"t": 0, "bootstrap": 0}
    for a, b in rng.standard_normal((100, 2, 3)):
        found = difference(pd.Series(a), pd.Series(b))
        for name in held:
            low, high = getattr(found, name)
            held[name] += low <= 0 <= high
    assert held["t"] >= 88  # 95 expected, standard deviation 2.2
    assert 60 <= held["bootstrap"] <= 88  # 75 expected, standard deviation 4.3
