"""What of an experiment the record of a search leaves out, in sentences."""

from collections.abc import Sequence

import pandas as pd


def notes(searches: Sequence[str], outside: pd.DataFrame, ignored: int) -> tuple[str, ...]:
    """Say it, a sentence or two for each kind.

    Args:
        searches: the ids of the experiment's searches, the record's own first.
        outside: the trials that no longer fit the search space.
        ignored: how many runs are of other programs.
    """
    found = []
    if len(searches) > 1:
        others = ", ".join(searches[1:])
        found.append(f"The experiment holds {len(searches)} searches: this is the latest. The others: {others}.")
    if len(outside):
        numbers = ", ".join(map(str, sorted(outside["number"].unique())))
        found.append(
            "The search space was changed when the search was resumed. These trials no longer fit it and are left out "
            f"of everything below: {numbers}. The sampler kept learning from the others."
        )
    if ignored:
        found.append(f"{foreign(ignored)} left out.")
    return tuple(found)


def foreign(count: int) -> str:
    """The beginning of a sentence on runs of other programs; its verb is the last word."""
    if count == 1:
        return "1 run of another program in the same experiment is"
    return f"{count} runs of other programs in the same experiment are"
