"""What is private in Optuna, and is touched all the same.

| what | why | what breaks without it |
|---|---|---|
| importance reads a study through `get_trials` alone | a study can show a sample of its trials: to copy the sampled trials into a new study takes three times as long | every resample has the importance of all trials, and the intervals are points |
| `Study(name, storage)` | `create_study` and `load_study` give no class of one's own | the sampled study cannot be built |
| `get_trials(deepcopy=False)` gives the storage's own trials | their distributions are replaced by shared ones, which are compared by identity before anything else | importance takes several times as long |

`tests/analysis/test_optuna_private.py` has a test for each row.
"""  # noqa: E501 (a table's rows are lines)

from collections.abc import Container, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

NAME = "importance"


class SampledStudy(optuna.Study):
    """A study that shows a sample of its trials, each as often as it was drawn."""

    sample: Sequence[FrozenTrial] = ()

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 (Optuna's signature)
        states: Container[TrialState] | None = None,  # noqa: ARG002 (Optuna's signature; all trials are complete)
    ) -> list[FrozenTrial]:
        """Give the sample."""
        return list(self.sample)

    def all_trials(self) -> list[FrozenTrial]:
        """Every trial once, by number, as the storage holds it."""
        return optuna.Study.get_trials(self, deepcopy=False)


def sampled_study(trials: Sequence[FrozenTrial], space: Mapping[str, BaseDistribution]) -> SampledStudy:
    """Build a study in memory.

    Args:
        trials: in the order in which they are numbered.
        space: the distribution of each parameter.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = InMemoryStorage()
    optuna.create_study(storage=storage, study_name=NAME).add_trials(trials)
    study = SampledStudy(NAME, storage)
    for trial in study.all_trials():
        # They are sorted by distribution, and to find two that are equal but not the same takes long.
        trial.distributions = {name: space[name] for name in trial.params}
    return study
