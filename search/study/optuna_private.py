"""What is private in Optuna, and is touched all the same.

| what | why | what breaks without it |
|---|---|---|
| the system attribute `fixed_params` | a trial of which some values are given is begun in one write; `Study.enqueue_trial` and `ask` take two, and go through all waiting trials | a proposal in a large study takes twice as long |
| `Study._study_id`, `FrozenTrial._trial_id` | the storage's own calls need them, and so does attaching to a running trial again | nothing is begun, and no resumed trial is found |
| `JournalFileOpenLock.acquire` and `release` | the search's own lock keeps other drivers out; Optuna's outlives a killed process by 30 s | a resume waits for half a minute |
| `Study._get_trials` | samplers ask a study through it, and are shown a view of the study | samplers see all trials as they are |

`tests/search/study/test_optuna_private.py` has a test for each row.
"""  # noqa: E501 (a table's rows are lines)

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

FIXED_PARAMS = "fixed_params"


class _NoLock(JournalFileOpenLock):
    def acquire(self) -> bool:
        """Take nothing."""
        return True

    def release(self) -> None:
        """Give nothing back."""


def unlocked_storage(path: Path) -> JournalStorage:
    """A storage in a journal file, for its only writer."""
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_NoLock(str(path))))


def begin_trial(
    study: optuna.Study, storage: JournalStorage, number: int, fixed: Mapping[str, Any], attributes: Mapping[str, Any]
) -> int:
    """Begin a trial in one write.

    Args:
        study: the trial's.
        storage: the study's.
        number: of the trial.
        fixed: values that `suggest_*` is to give.
        attributes: user attributes of the trial.

    Returns:
        The storage's id of the trial.
    """
    trial = FrozenTrial(
        number=number,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        params={},
        distributions={},
        datetime_start=datetime.now(),
        datetime_complete=None,
        intermediate_values={},
        user_attrs=dict(attributes),
        system_attrs={FIXED_PARAMS: dict(fixed)},
    )
    return storage.create_new_trial(study._study_id, trial)


def trial_id(trial: FrozenTrial | optuna.Trial) -> int:
    """The storage's id of a trial."""
    return trial._trial_id
