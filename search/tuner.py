"""The engine on Ray: Tune runs a search's trials in reused workers. Nothing is decided or kept here.

Tune's own state is not needed to resume: the journal and the checkpoints are. Its searcher, scheduler
and callback hooks are adapters of its phases; an exception in one of them would abort the experiment.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Tune's snapshots of the experiment serve Tuner.restore, which is not used.
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # By default Tune asks for one worker at a time, and for the next when that one has started, seconds later. How
    # many there are is the session's affair.
    "TUNE_MAX_PENDING_TRIALS_PG": str(10**9),
    # Interrupts are ours (interrupts.py).
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
os.environ.update(SETTINGS)

from ray import tune  # noqa: E402 (reads the settings when it is imported)
from ray.tune.execution import class_cache  # noqa: E402
from ray.tune.experiment import Trial  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from search import cluster  # noqa: E402
from search.phases import Phases  # noqa: E402
from search.watch import Watch  # noqa: E402
from search.worker import TuneTrial, resources  # noqa: E402


class _Unsaved:
    """An adapter of the phases, left out when Tune pickles itself: the journal has all there is to keep."""

    _phases: Phases

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _SearcherAdapter(_Unsaved, Searcher):
    """Hands tasks to Tune."""

    def __init__(self, phases: Phases):
        super().__init__()
        self._phases = phases

    def suggest(self, trial_id: str) -> Any:
        """A task, None to ask again later, or FINISHED."""
        task = self._phases.next()
        if task is not None:
            return asdict(task)
        return Searcher.FINISHED if self._phases.exhausted else None

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The scheduler's adapter has told the phases already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _SchedulerAdapter(_Unsaved, FIFOScheduler):
    """Hears of every result first, the one on which a trial stops included; sees to it that workers are kept."""

    def __init__(self, phases: Phases, alike: bool):
        """Args: alike: whether all trials are given the same, so that any worker may take any trial."""
        super().__init__()
        self._phases, self._alike, self._kept = phases, alike, False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        # Of workers whose trials end within one of its steps Tune keeps as many as trials wait, or one, and ends the
        # others: of 64 slots 25 were busy. Idle ones may be kept where no other kind of trial waits for their share.
        if self._alike and not self._kept:
            tune_controller._actor_cache.increase_max(trial.placement_group_factory, MOST_IDLE)
            self._kept = True

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune then starts them in their order. It would give the first one, whose worker is starting, one that
        is free, and end the one that is starting, and look through all trials of the search each time."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        told = {name: value for name, value in result.items() if name in REPORTED}
        goes_on = self._phases.report(trial.config["id"], told)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


MOST_IDLE = 10**6
REPORTED = (
    "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "epoch_seconds",
    "images_per_second", "peak_memory_mb", "finished", "test_loss", "test_accuracy", "failure", "unsaved",
    "lost", "images_a_pass",
)  # fmt: skip
"""What of a result is the trial's; the rest is Tune's book-keeping."""


KILLED_FOR_MEMORY = "running low on memory"
"""What Ray says of a worker that its memory monitor has killed. The kernel's killer leaves no word."""


class _Failures(_Unsaved, tune.Callback):
    """Hears of trials whose worker died. Tune would start them again by itself; the session knows better whether."""

    def __init__(self, phases: Phases, watch: Watch):
        self._phases, self._watch = phases, watch

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        if self._watch.ray_died():
            return
        error = Path(trial.error_file).read_text() if trial.error_file else ""
        node = self._watch.node_of(error)
        if self._watch.is_lost(node):
            self._phases.moved(trial.config["id"])
        else:
            killed = KILLED_FOR_MEMORY in error
            self._phases.died(trial.config["id"], error, node, of_memory=killed)


class _Looks(_Unsaved, tune.Callback):
    """Has the watch look at the cluster, and at the trials that have not started."""

    def __init__(self, watch: Watch):
        self._watch = watch

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        if self._watch.due():
            self._watch.look([t.config for t in trials if t.status == Trial.PENDING])


class _When(tune.Stopper):
    """Ends the experiment when a condition holds."""

    def __init__(self, condition: Callable[[], bool]):
        self._condition = condition

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._condition()

    def __getstate__(self) -> dict[str, Any]:
        return {}


def trainable() -> type:
    """What Tune sends to the workers."""
    return tune.with_resources(TuneTrial, resources)


def _take_prepared_workers() -> None:
    """Have trials run in the workers that Ray started with itself, instead of in others that begin to start now.

    Ray gives those to actors without an environment of their own alone. Tune gives its actors some variables, which
    workers of this machine have from this process anyway.
    """
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()


def run(phases: Phases, watch: Watch, interrupted: Callable[[], bool]) -> None:
    """Run all trials on the Ray cluster that this process is connected to.

    Args:
        watch: of the cluster. If Ray has died on this machine the run ends, with trials still running.
        interrupted: whether to end now; asked several times a second.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if cluster.is_own():
        _take_prepared_workers()
    with tempfile.TemporaryDirectory(prefix="search-tune-") as storage:
        tuner = tune.Tuner(
            trainable(),
            tune_config=tune.TuneConfig(
                search_alg=_SearcherAdapter(phases),
                scheduler=_SchedulerAdapter(phases, watch.alike),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=storage,
                callbacks=[_Failures(phases, watch), _Looks(watch)],
                stop=_When(lambda: interrupted() or watch.ray_died() or phases.halted is not None),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
            ),
        )
        tuner.fit()
