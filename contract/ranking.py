"""Who ranks before whom, and who won: the one rule that the search, its confirmation and the analysis share."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from contract.outcomes import Outcome

T = TypeVar("T")


def has_result(outcome: str | None, value: float | None) -> bool:
    """Whether a trial can be ranked: it was completed or stopped, and its last value is a number."""
    return outcome in (Outcome.COMPLETED, Outcome.STOPPED) and value is not None and value == value


def ranked(
    trials: Iterable[T],
    value: Callable[[T], float],
    epochs: Callable[[T], int],
    number: Callable[[T], int],
    *,
    maximize: bool,
) -> list[T]:
    """Trials with a result, the best first.

    Among equals the one that trained longer comes first, and among these the earlier one.
    """
    sign = -1 if maximize else 1
    return sorted(trials, key=lambda trial: (sign * value(trial), -epochs(trial), number(trial)))


def winners(values: Mapping[int, Sequence[float]], *, maximize: bool) -> list[int]:
    """The numbers of the confirmed trials, the winner first: by the mean of the objective over fresh seeds.

    Among equals the earlier trial comes first.

    Args:
        values: by the number of the search's trial, the objective after the last epoch of each completed run.
        maximize: whether a larger objective is better.
    """
    sign = -1 if maximize else 1
    return sorted(values, key=lambda number: (sign * statistics.fmean(values[number]), number))
