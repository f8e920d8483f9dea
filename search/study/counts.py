"""How many trials a study has begun at each point of the grid."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

POINT, DRAW, OUTCOME = "point", "draw", "outcome"
"""Attributes of a trial: its grid point's index, how many were drawn there before, and how it ended."""


@dataclass
class Counts:
    """What the study has begun so far, kept up so that a proposal need not go through all of its trials."""

    points: Counter[int] = field(default_factory=Counter)
    """How many trials were begun at each grid point; withdrawn ones do not count."""
    drawn: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The values that the trials of all points have in common, by draw."""
    number: int = 0
    """The number of the next trial."""

    @classmethod
    def of(cls, trials: Iterable[FrozenTrial]) -> "Counts":
        """Count the trials of a study."""
        counts = cls()
        for trial in trials:
            counts.number += 1
            if POINT in trial.user_attrs and not _withdrawn(trial):
                counts.add(trial.user_attrs, trial.params)
        return counts

    def add(self, attributes: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """Count a trial."""
        self.points[attributes[POINT]] += 1
        self.drawn.setdefault(attributes[DRAW], {}).update(params)


def _withdrawn(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.FAIL and OUTCOME not in trial.user_attrs
