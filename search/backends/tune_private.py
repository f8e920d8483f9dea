"""What is private in Ray Tune, and is touched all the same.

| what | why | what breaks without it |
|---|---|---|
| `controller._actor_cache.increase_max` | of workers whose trials end within one of its steps Tune keeps as many as trials wait, or one, and ends the others | of 64 slots 25 were busy, the rest were starting for ever |
| `class_cache.DEFAULT_ENV_VARS`, `ENV_VARS_TO_PROPAGATE` | Ray gives its first workers to actors without an environment of their own alone, and Tune gives its actors one | trials start seconds later, in other workers |
| `choose_trial_to_run` may return None | Tune then starts trials in their order; else it gives the first one, whose worker is starting, a free worker, ends the one that is starting, and looks through all trials each time | the second slot of two stays idle in a search of short trials |
| `trial.error_file` | the text of the error that ended a worker | a worker's death has no reason |

`tests/search/backends/test_tune_private.py` has a test for each row.
"""  # noqa: E501 (a table's rows are lines)

from pathlib import Path
from typing import Any

from ray.tune.execution import class_cache

MAX_IDLE = 10**6
"""Workers that are kept for trials to come: all."""


def keep_workers(controller: Any, resources: Any) -> None:
    """Have Tune keep idle workers with these resources, instead of ending all but one."""
    controller._actor_cache.increase_max(resources, MAX_IDLE)


def take_first_workers() -> None:
    """Have trials run in the workers that Ray started with itself, instead of in others that begin to start now.

    The variables that Tune would set for its workers those of this machine have from this process anyway.
    """
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()


def error_of(trial: Any) -> str:
    """The text of the error that ended a trial's worker, empty where Tune has kept none."""
    return Path(trial.error_file).read_text() if trial.error_file else ""
