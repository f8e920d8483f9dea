"""What is private in Ray Tune and touched all the same: a new version that changes it fails here, and says what for."""

import inspect
from types import SimpleNamespace

import pytest
from ray.tune.execution import class_cache, tune_controller
from ray.tune.experiment import Trial

from search.backends import ray_tune, tune_private
from tests.search.backends.test_ray_private import rows

BREAKS = rows(tune_private)


def breaks(what: str) -> str:
    """What to say where a row no longer holds."""
    return next(text for row, text in BREAKS.items() if what in row)


def test_every_row_has_a_test():
    assert len(BREAKS) == 4, "the table has another row: give it a test"


def test_idle_workers_can_be_kept():
    cache = tune_controller._ObjectCache(may_keep_one=True)
    cache.increase_max("share", 2)
    for worker in ("a", "b", "c"):
        cache.cache_object("share", worker)
    kept = [cache.pop_cached_object("share") for _ in range(3)]
    assert len([worker for worker in kept if worker is not None]) >= 2, breaks("_actor_cache")
    source = inspect.getsource(tune_controller.TuneController)
    assert "self._actor_cache = _ObjectCache(" in source, breaks("_actor_cache")


def test_a_controllers_cache_is_told_to_keep_all():
    told = []
    controller = SimpleNamespace(_actor_cache=SimpleNamespace(increase_max=lambda *asked: told.append(asked)))
    tune_private.keep_workers(controller, "share")
    assert told == [("share", tune_private.MAX_IDLE)]


def test_actors_need_have_no_environment_of_their_own(monkeypatch):
    for name in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"):
        monkeypatch.setattr(class_cache, name, type(getattr(class_cache, name))(getattr(class_cache, name)))
    assert class_cache.DEFAULT_ENV_VARS, "Tune sets none any more: tune_private.take_first_workers can go"
    tune_private.take_first_workers()
    source = inspect.getsource(class_cache)
    assert not class_cache.DEFAULT_ENV_VARS, breaks("DEFAULT_ENV_VARS")
    assert source.count("DEFAULT_ENV_VARS") > 1, breaks("DEFAULT_ENV_VARS")
    assert source.count("ENV_VARS_TO_PROPAGATE") > 1, breaks("DEFAULT_ENV_VARS")


def test_a_scheduler_may_leave_the_order_to_tune():
    source = inspect.getsource(tune_controller.TuneController)
    assert "self._scheduler_alg.choose_trial_to_run(" in source, breaks("choose_trial_to_run")
    assert "if trial_to_run:" in source, breaks("choose_trial_to_run")
    assert ray_tune._SchedulerAdapter.choose_trial_to_run(None, None) is None


@pytest.mark.parametrize("text", ["", "Failure # 1\nit died\n"])
def test_the_text_of_an_error_is_in_its_file(tmp_path, text):
    assert isinstance(inspect.getattr_static(Trial, "error_file"), property), breaks("error_file")
    path = tmp_path / "error.txt"
    path.write_text(text)
    assert tune_private.error_of(SimpleNamespace(error_file=str(path) if text else None)) == text
