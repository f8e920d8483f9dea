"""What is private in Optuna is still there: a test for each row of `analysis.optuna_private`."""

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import InMemoryStorage
from private_rows import row, rows

from analysis import optuna_private
from analysis.optuna_private import SampledStudy, sampled_study

READS, BUILDS, SHARES = rows(optuna_private)
SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


@pytest.fixture
def study() -> SampledStudy:
    """Trials of which the first half depends on x alone, the second half on y alone."""
    points = [(i / 40, (7 * i % 40) / 40) for i in range(40)]
    trials = [(x, y, x) for x, y in points] + [(x, y, y) for x, y in points]
    return sampled_study(
        [optuna.create_trial(params={"x": x, "y": y}, distributions=SPACE, value=v) for x, y, v in trials], SPACE
    )


def test_importance_sees_the_sample_alone(study):
    with row(optuna_private, READS):
        for half, name in ((slice(40), "x"), (slice(40, None), "y")):
            study.sample = study.all_trials()[half]
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
            assert max(found, key=found.get) == name


def test_a_study_can_be_built_as_another_class(study):
    with row(optuna_private, BUILDS):
        storage = InMemoryStorage()
        optuna.create_study(storage=storage, study_name="s")
        assert SampledStudy("s", storage).all_trials() == []
        assert len(study.all_trials()) == 80
        assert study.get_trials() == []


def test_trials_share_their_distributions(study):
    with row(optuna_private, SHARES):
        assert all(trial.distributions["x"] is SPACE["x"] for trial in study.all_trials())
