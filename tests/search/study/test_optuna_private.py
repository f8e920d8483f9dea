"""What is private in Optuna and touched all the same: a new version that changes it fails here, and says what for."""

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from search.study import optuna_private
from search.study.views import Foremost
from tests.search.backends.test_ray_private import rows

BREAKS = rows(optuna_private)


def breaks(what: str) -> str:
    """What to say where a row no longer holds."""
    return next(text for row, text in BREAKS.items() if what in row)


def test_every_row_has_a_test():
    assert len(BREAKS) == 4, "the table has another row: give it a test"


@pytest.fixture
def study(tmp_path):
    storage = optuna_private.unlocked_storage(tmp_path / "study.log")
    return optuna.create_study(storage=storage, sampler=RandomSampler(seed=0)), storage


def test_a_trial_is_begun_in_one_write_with_what_is_fixed_of_it(study, tmp_path):
    study, storage = study
    before = len((tmp_path / "study.log").read_bytes().splitlines())
    id = optuna_private.begin_trial(study, storage, 0, {"lr": 0.25}, {"point": 3})
    assert len((tmp_path / "study.log").read_bytes().splitlines()) == before + 1, breaks("fixed_params")
    trial = optuna.Trial(study, id)
    assert (trial.number, trial.user_attrs) == (0, {"point": 3})
    assert trial.suggest_float("lr", 0.0, 1.0) == 0.25, breaks("fixed_params")
    assert 0.0 <= trial.suggest_float("momentum", 0.0, 1.0) <= 1.0
    assert study.trials[0].state is TrialState.RUNNING


def test_a_running_trial_can_be_attached_to_again(study):
    study, storage = study
    id = optuna_private.begin_trial(study, storage, 0, {}, {})
    optuna.Trial(study, id).suggest_float("lr", 0.0, 1.0)
    found = study.get_trials(deepcopy=False)[0]
    again = optuna.Trial(study, optuna_private.trial_id(found))
    assert again.params == found.params, breaks("_trial_id")
    again.report(0.5, step=1)
    assert study.trials[0].intermediate_values == {1: 0.5}


def test_a_lock_that_a_killed_process_left_is_not_waited_for(tmp_path):
    path = tmp_path / "study.log"
    assert JournalFileOpenLock(str(path)).acquire()  # and here its process was killed
    stock = JournalFileBackend(str(path))
    assert stock._lock is not None, breaks("JournalFileOpenLock")
    storage = optuna_private.unlocked_storage(path)
    assert optuna.create_study(storage=storage).study_name, breaks("JournalFileOpenLock")


def test_samplers_ask_a_study_for_its_trials_through_what_views_replace(monkeypatch):
    asked = []
    study = optuna.create_study()
    study.add_trials([optuna.create_trial(value=float(n)) for n in range(12)])
    original = Foremost._get_trials
    monkeypatch.setattr(Foremost, "_get_trials", lambda *args, **kw: asked.append(1) or original(*args, **kw))
    view = Foremost(study)
    trial = study.ask()
    sampler = TPESampler(seed=0, n_startup_trials=1)
    sampler.sample_independent(view, study.trials[-1], "lr", optuna.distributions.FloatDistribution(0.0, 1.0))
    assert asked, breaks("_get_trials")
    assert trial.number == 12
