"""The engine on Ray: Tune runs a search's trials in reused workers. Nothing is decided or kept here.

Tune's own state is not needed to resume: the journal and the checkpoints are. Its searcher, scheduler
and callback hooks are adapters of its phases; an exception in one of them would abort the experiment.
"""

import logging
import os
import tempfile
from collections.abc import Callable
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
    # Interrupts are ours (cli/signals.py).
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
os.environ.update(SETTINGS)

from ray import tune  # noqa: E402 (reads the settings when it is imported)
from ray.tune.experiment import Trial  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from search.backends import cluster, ray_private, tune_private  # noqa: E402
from search.backends.node_monitor import NodeMonitor  # noqa: E402
from search.backends.ray_worker import RESULT, TASK, TuneTrial, resources  # noqa: E402
from search.orchestration.phases import Phases  # noqa: E402


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
            return {TASK: task}
        return Searcher.FINISHED if self._phases.exhausted else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The scheduler's adapter has told the phases already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _SchedulerAdapter(_Unsaved, FIFOScheduler):
    """Hears of every result first, the one on which a trial stops included; sees to it that workers are kept."""

    def __init__(self, phases: Phases, alike: bool):
        """Adapt the phases; idle workers are kept where all trials are given the same (`alike`)."""
        super().__init__()  # type: ignore[no-untyped-call]  # Tune has no types there
        self._phases, self._alike, self._kept = phases, alike, False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        # Idle workers may be kept where no other kind of trial waits for their share.
        if self._alike and not self._kept:
            tune_private.keep_workers(tune_controller, trial.placement_group_factory)
            self._kept = True

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune then starts them in their order (see `tune_private`)."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        continues = self._phases.report(trial.config[TASK].id, result[RESULT])
        return TrialScheduler.CONTINUE if continues else TrialScheduler.STOP


class _Failures(_Unsaved, tune.Callback):
    """Hears of trials whose worker died. Tune would start them again by itself; the session knows better whether."""

    def __init__(self, phases: Phases, monitor: NodeMonitor):
        self._phases, self._monitor = phases, monitor

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self._monitor.ray_died():
            return
        error = tune_private.error_of(trial)
        node = ray_private.node_of_actor(error)
        if self._monitor.is_lost(node):
            self._phases.reschedule(trial.config[TASK].id)
        else:
            killed = ray_private.was_killed_for_memory(error)
            self._phases.on_worker_died(trial.config[TASK].id, error, node, out_of_memory=killed)


class _Monitoring(_Unsaved, tune.Callback):
    """Has the monitor look at the cluster, and at the trials that have not started."""

    def __init__(self, monitor: NodeMonitor):
        self._monitor = monitor

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._monitor.due():
            self._monitor.look([t.config[TASK] for t in trials if t.status == Trial.PENDING])


class _StopWhen(tune.Stopper):
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
    wrapped: type = tune.with_resources(TuneTrial, resources)
    return wrapped


def run(phases: Phases, monitor: NodeMonitor, interrupted: Callable[[], bool]) -> None:
    """Run all trials on the Ray cluster that this process is connected to.

    Args:
        phases: give the trials, and take what their steps give.
        monitor: of the cluster. If Ray has died on this machine the run ends, with trials still running.
        interrupted: whether to end now; asked several times a second.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if cluster.is_own():
        tune_private.take_first_workers()
    with tempfile.TemporaryDirectory(prefix="search-tune-") as storage:
        tuner = tune.Tuner(
            trainable(),
            tune_config=tune.TuneConfig(
                search_alg=_SearcherAdapter(phases),
                scheduler=_SchedulerAdapter(phases, monitor.alike),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=storage,
                callbacks=[_Failures(phases, monitor), _Monitoring(monitor)],
                stop=_StopWhen(lambda: interrupted() or monitor.ray_died() or phases.halted is not None),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
            ),
        )
        tuner.fit()
