"""Schedulers: who stops a trial early. Free of Ray, rebuilt from the journal when a search is resumed."""

import math
from dataclasses import dataclass, field


@dataclass
class Asha:
    """Asynchronous successive halving, the stopping variant (Li et al. 2020, section 3; Ray Tune's default).

    A trial continues past a rung if it is among the best 1 / reduction_factor (rounded up) of those that
    have been there, itself included. A value enters a rung only at the rung's epoch, so that all values
    of a rung have seen equally much training, and a trial can be stopped at a rung only. Without rungs
    nothing is stopped.
    """

    rungs: tuple[int, ...]
    """Epochs, ascending."""
    reduction_factor: int = 3
    maximize: bool = True
    _values: dict[int, dict[str, float]] = field(default_factory=dict)

    def should_continue(self, trial: str, epoch: int, value: float) -> bool:
        """Enter an epoch's value, and say whether the trial continues. Entering one twice changes nothing.

        A trial whose value is not finite never continues, and the value is not entered.
        """
        if not math.isfinite(value):
            return False
        if epoch not in self.rungs:
            return True
        rung = self._values.setdefault(epoch, {})
        rung[trial] = value
        better = sum(other > value if self.maximize else other < value for other in rung.values())
        return better < math.ceil(len(rung) / self.reduction_factor)
