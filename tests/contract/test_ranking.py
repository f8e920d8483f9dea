"""Who ranks before whom, and who won: the rule that the search and the analysis share."""

import math

import pytest

from contract.outcomes import Outcome
from contract.ranking import has_result, ranked, winners


@pytest.mark.parametrize(
    ("outcome", "value", "result"),
    [
        (Outcome.COMPLETED, 0.5, True),
        ("stopped", 0.0, True),
        (Outcome.STOPPED, None, False),
        (Outcome.COMPLETED, math.nan, False),
        (Outcome.DIVERGED, 0.5, False),
        ("failed", 0.5, False),
        (Outcome.INTERRUPTED, 0.5, False),
        (None, 0.5, False),
        ("running", 0.5, False),
    ],
)
def test_what_has_a_result(outcome, value, result):
    assert has_result(outcome, value) is result


@pytest.mark.parametrize(("maximize", "order"), [(True, [3, 1, 0, 2]), (False, [2, 3, 1, 0])])
def test_among_equals_the_longer_trained_comes_first_and_then_the_earlier(maximize, order):
    trials = [(0, 0.5, 1), (1, 0.5, 2), (2, 0.1, 9), (3, 0.5, 4)]  # number, value, epochs
    found = ranked(trials, lambda t: t[1], lambda t: t[2], lambda t: t[0], maximize=maximize)
    assert [trial[0] for trial in found] == order


def test_the_winner_has_the_best_mean_and_among_equals_the_lower_number():
    values = {7: [0.5, 0.7], 2: [0.6, 0.6], 4: [0.9], 9: [0.1, 0.2]}
    assert winners(values, maximize=True) == [4, 2, 7, 9]
    assert winners(values, maximize=False) == [9, 2, 7, 4]
