"""ASHA: the best of each rung go on, and nothing but a value at a rung decides."""

import math
import random

import pytest

from search.spec.schema import rung_epochs
from search.study.asha import Asha


@pytest.mark.parametrize(
    ("grace", "factor", "last", "epochs"),
    [
        (1, 3, 20, (1, 3, 9)),
        (1, 3, 27, (1, 3, 9)),
        (1, 3, 28, (1, 3, 9, 27)),
        (2, 2, 20, (2, 4, 8, 16)),
        (4, 3, 12, (4,)),
        (5, 3, 5, ()),
        (1, 2, 1, ()),
    ],
)
def test_rungs_lie_at_grace_times_powers_of_the_factor_below_the_last_epoch(grace, factor, last, epochs):
    assert rung_epochs(grace, factor, last) == epochs


class SlowAsha:
    """The rule as one would say it: at a rung, sort what has been there, and go on if in the best part."""

    def __init__(self, rungs, factor, maximize):
        self.rungs, self.factor, self.maximize, self.told = rungs, factor, maximize, []

    def should_continue(self, trial, epoch, value):
        if math.isnan(value) or math.isinf(value):
            return False
        self.told.append((trial, epoch, value))
        if epoch not in self.rungs:
            return True
        latest = {t: v for t, e, v in self.told if e == epoch}
        best_first = sorted(latest.values(), reverse=self.maximize)
        room = -(-len(best_first) // self.factor)
        return value in best_first[:room]


@pytest.mark.parametrize("seed", range(20))
def test_it_decides_as_the_slow_rule_does(seed):
    rng = random.Random(seed)
    factor, maximize = rng.choice([2, 3, 4]), rng.random() < 0.5
    rungs = rung_epochs(rng.choice([1, 2]), factor, 20)
    asha, slow = Asha(rungs, factor, maximize), SlowAsha(rungs, factor, maximize)
    epochs = dict.fromkeys(map(str, range(40)), 0)
    decided = {True: 0, False: 0}
    while epochs:
        trial = rng.choice(list(epochs)[:8])
        if rng.random() > 0.1 or epochs[trial] == 0:  # else the epoch is reported once more
            epochs[trial] += 1
            value = rng.choice([math.nan, math.inf, -math.inf]) if rng.random() < 0.03 else rng.randrange(12) / 4
        goes_on = asha.should_continue(trial, epochs[trial], value)
        assert goes_on is slow.should_continue(trial, epochs[trial], value)
        decided[goes_on] += 1
        if not goes_on or epochs[trial] == 20:
            del epochs[trial]
    assert min(decided.values()) > 10


def test_one_in_so_many_rounded_up_goes_on_past_a_rung():
    asha = Asha((1,), reduction_factor=3)
    answers = [asha.should_continue(str(i), 1, value) for i, value in enumerate([0.5, 0.4, 0.3, 0.45, 0.2, 0.1, 0.48])]
    #         rung sizes 1, 2, 3: one goes on; 4, 5, 6: two; 7: three
    assert answers == [True, False, False, True, False, False, True]


def test_smaller_is_better_where_the_objective_is_minimised():
    asha = Asha((1,), maximize=False)
    assert [asha.should_continue(trial, 1, value) for trial, value in (("a", 0.5), ("b", 0.6), ("c", 0.4))] == [
        True,
        False,
        True,
    ]


def test_equal_values_are_treated_alike():
    asha = Asha((1,))
    assert all(asha.should_continue(str(i), 1, 0.5) for i in range(10))


def test_a_value_enters_a_rung_at_the_rungs_epoch_only():
    asha = Asha((2, 6))
    for epoch in (1, 3, 4, 5, 7, 100):
        assert asha.should_continue("good", epoch, 0.99)
        assert asha.should_continue("poor", epoch, 0.01)
    assert asha.should_continue("poor", 2, 0.01)  # the first at either rung
    assert asha.should_continue("poor", 6, 0.01)


def test_rungs_know_nothing_of_each_other():
    asha = Asha((1, 3))
    assert asha.should_continue("a", 1, 0.9)
    assert asha.should_continue("a", 3, 0.5)
    assert not asha.should_continue("b", 1, 0.6)
    assert asha.should_continue("c", 3, 0.6)


def test_reporting_again_changes_nothing():
    asha = Asha((1,), reduction_factor=2)
    assert asha.should_continue("a", 1, 0.5)
    assert not asha.should_continue("b", 1, 0.4)
    for _ in range(5):  # counted each time, the rung would have grown until b and c fit in
        assert not asha.should_continue("b", 1, 0.4)
        assert asha.should_continue("a", 1, 0.5)
    assert asha.should_continue("c", 1, 0.45)  # three: two go on
    assert not asha.should_continue("d", 1, 0.42)  # four: two


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_value_that_is_not_finite_never_goes_on_and_never_counts(value, maximize, epoch):
    asha = Asha((1,), reduction_factor=2, maximize=maximize)
    better, worse = (0.5, 0.4) if maximize else (0.4, 0.5)
    assert asha.should_continue("a", 1, better)
    for i in range(5):
        assert not asha.should_continue(f"bad {i}", epoch, value)
    assert not asha.should_continue("b", 1, worse)


def test_without_rungs_nothing_is_stopped():
    asha = Asha(())
    assert all(asha.should_continue(str(i), epoch, -i) for i in range(20) for epoch in (1, 3, 9))
