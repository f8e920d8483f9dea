"""What every sampler must do, by being in the list, and what those that learn must learn."""

import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from contract.outcomes import Outcome
from search.spec.loader import parse
from search.spec.sampler_rules import NAMES
from search.spec.space import Space
from search.spec.spec import Spec
from search.study import samplers, views
from search.study.samplers import FROM_THE_MIDDLE
from search.study.study import StudySearcher
from search.testing import Curve, check_configuration, check_sampler, drive, made_spec, mixed_outcomes, tell

RANGES = {
    "lr": {"loguniform": [1e-4, 0.1]},
    "weight_decay": {"uniform": [0, 1]},
    "decay_interval": {"int": [2, 5]},
    "batch_size": {"logint": [4, 64]},
    "augment": {"choice": ["none", "flip", "crop"]},
}
CONDITIONAL = {
    **RANGES,
    "optimizer": {"choice": ["adam", "sgd"]},
    "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
}
COUNTABLE = {
    "decay_interval": {"int": [2, 5]},
    "optimizer": {"choice": ["adam", "sgd"]},
    "momentum": {"choice": [0.5, 0.9], "when": {"optimizer": "sgd"}},
    "seed": {"grid": [0, 1]},
}
SPACES = {"cmaes": RANGES, "grid": COUNTABLE}  # and for all others the conditional one
SQUARE = {"lr": {"uniform": [0.01, 1]}, "weight_decay": {"uniform": [0, 1]}}
LEARNING = [name for name in NAMES if name not in ("grid", "random")]


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch):
    """On a busy machine torch's threads (of the Gaussian process) and waiting for the disk are most of the time."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(space: dict, sampler: str, seed: int, trials: int) -> Spec:
    return made_spec(sampler, space, seed=seed, trials=trials)


def hill(params: dict) -> Curve:
    """Best, at 0, in the middle of some corner."""
    return [-((params["lr"] - 0.3) ** 2) - (params.get("weight_decay", 0.7) - 0.7) ** 2], Outcome.COMPLETED


# All samplers


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_keeps_to_the_space_and_to_its_seed(name, tmp_path):
    check_sampler(name, SPACES.get(name, CONDITIONAL), tmp_path)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "lr is missing"),
        ({"lr": 0.5}, "lr is 0.5, not in"),
        ({"lr": 1}, "lr is 1, not a value of kind float"),
        ({"lr": 0.01, "momentum": 0.9}, "keys that do not belong there: {'momentum'}"),
    ],
)
def test_the_check_of_a_configuration_can_fail(params, message):
    space = {"lr": {"loguniform": [1e-4, 0.1]}, "optimizer": "adam"}
    spec = made(space, "random", 0, 1)
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_configuration(spec, spec.space.constants | params)


@pytest.mark.parametrize("name", [name for name in NAMES if "when" in str(SPACES.get(name, CONDITIONAL))])
def test_a_conditional_key_is_sometimes_there_and_sometimes_not(name, tmp_path):
    tried, _ = drive(made(SPACES.get(name, CONDITIONAL), name, 0, 12), tmp_path / "study.log", mixed_outcomes)
    assert {"momentum" in params for params in tried} == {True, False}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "grid"])
def test_another_seed_proposes_others(name, tmp_path):
    one, other = (
        drive(made(SPACES.get(name, CONDITIONAL), name, seed, 4), tmp_path / f"{seed}.log", mixed_outcomes)[0]
        for seed in (0, 1)
    )
    if name in FROM_THE_MIDDLE:
        assert one.pop(0) == other.pop(0)
    assert not any(params in other for params in one)


@pytest.mark.parametrize("name", FROM_THE_MIDDLE)
def test_the_first_trial_is_the_middle_of_the_space_at_every_point_of_its_grid(name, tmp_path):
    space = {
        "optimizer": {"grid": ["adam", "sgd"]},
        "lr": {"loguniform": [1e-4, 1e-2]},
        "batch_size": {"choice": [64, 32]},
        "decay_interval": {"int": [2, 10]},
        "momentum": {"uniform": [0.8, 0.9], "when": {"optimizer": "sgd"}},
    }
    first, second, third, fourth = drive(made(space, name, 0, 4), tmp_path / "study.log", mixed_outcomes)[0]
    middle = {"lr": pytest.approx(1e-3), "batch_size": 64, "decay_interval": 6}
    assert {key: first[key] for key in middle} == {key: second[key] for key in middle} == middle
    assert (first["optimizer"], second["optimizer"], second["momentum"]) == ("adam", "sgd", pytest.approx(0.85))
    assert third["lr"] == fourth["lr"] != pytest.approx(1e-3)


def test_neighbouring_seeds_and_trials_have_nothing_in_common(tmp_path):
    tried = [
        params["lr"]
        for seed in range(4)
        for params in drive(made(SQUARE, "random", seed, 8), tmp_path / f"{seed}.log", hill)[0]
    ]
    assert len(set(tried)) == len(tried)


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_takes_the_spaces_that_it_does_not_refuse(name):
    content = {
        "name": "made",
        "data": "digits",
        "space": {**CONDITIONAL, "seed": {"grid": [0, 1]}},
        "sampler": {"name": name},
        "budget": {"trials": 4},
    }
    _, problems = parse(content, "made.yaml", {})
    assert bool(problems) is (name in SPACES)


# Samplers that learn


def best(name: str, seed: int, trials: int, path: Path, train: Callable[[dict], Curve]) -> float:
    return max(drive(made(SQUARE, name, seed, trials), path, train)[1])


@pytest.mark.parametrize(
    ("name", "outcome", "trials", "seeds"),
    [
        ("tpe", Outcome.COMPLETED, 30, 5),
        ("tpe", Outcome.STOPPED, 30, 5),
        ("cmaes", Outcome.COMPLETED, 30, 5),
        ("cmaes", Outcome.STOPPED, 30, 5),
        ("gp", Outcome.STOPPED, 13, 3),
    ],
)
def test_a_learning_sampler_beats_random_search_on_a_hill(name, outcome, trials, seeds, tmp_path):
    def train(params):
        return hill(params)[0], outcome

    found, at_random = (
        [best(sampler, seed, trials, tmp_path / "study.log", train) for seed in range(seeds)]
        for sampler in (name, "random")
    )
    assert statistics.median(found) > statistics.median(at_random)


def test_every_sampler_that_learns_is_compared_with_random_search():
    assert LEARNING == ["cmaes", "gp", "tpe"]


@pytest.mark.parametrize(("name", "trials", "seeds"), [("tpe", 40, 3), ("cmaes", 40, 4), ("gp", 14, 2)])
def test_a_region_where_trials_diverge_is_left(name, trials, seeds, tmp_path):
    def cliff(params):
        return (
            ([math.nan], Outcome.DIVERGED) if params["lr"] > 0.5 else ([1 - abs(params["lr"] - 0.2)], Outcome.COMPLETED)
        )

    for seed in range(seeds):
        tried, _ = drive(made(SQUARE, name, seed, trials), tmp_path / "study.log", cliff)
        later = tried[-trials // 3 :]
        assert sum(params["lr"] > 0.5 for params in later) / len(later) < 0.3, seed


# What the Gaussian process and CMA-ES are shown of a search under a scheduler


X = optuna.distributions.FloatDistribution(0, 100)


class Spy(RandomSampler):
    """Writes down the trials that it is shown."""

    def infer_relative_search_space(self, study, trial):
        self.space_from = {t.params["x"] for t in study.get_trials(states=(TrialState.COMPLETE,))}
        return {"x": X}

    def sample_relative(self, study, trial, search_space):
        assert search_space == {"x": X}
        earlier = [t for t in study._get_trials(deepcopy=False, use_cache=True) if t.params]
        self.shown = {t.params["x"]: (t.state, t.values) for t in earlier}
        self.learned_from = {t.params["x"] for t in study._get_trials(states=(TrialState.COMPLETE,))}
        return {}


STATES = {Outcome.COMPLETED: TrialState.COMPLETE, Outcome.FAILED: TrialState.FAIL, None: TrialState.RUNNING}


def shown(
    direction: str, trials: list[tuple[list[float], Outcome | None]], name: str = "gp"
) -> tuple[dict[float, float], Spy]:
    """The values that what is inside the sampler is shown of trials whose parameter x is their place in the list."""
    study = optuna.create_study(direction=direction)
    for x, (values, outcome) in enumerate(trials):
        state = STATES.get(outcome, TrialState.PRUNED)
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=values[-1] if state is TrialState.COMPLETE else None,
                params={"x": float(x)},
                distributions={"x": X},
                intermediate_values=dict(enumerate(values, 1)),
            )
        )
    study.sampler = samplers.build(name, 0, 0, Space({}, ()))
    study.sampler.sampler = spy = Spy(seed=0)
    study.ask().suggest_float("x", 0, 100)
    assert spy.space_from == spy.learned_from
    return {x: values[0] for x, (state, values) in spy.shown.items() if state is TrialState.COMPLETE}, spy


STOPPED, COMPLETED, DIVERGED, FAILED = Outcome.STOPPED, Outcome.COMPLETED, Outcome.DIVERGED, Outcome.FAILED


def test_all_trials_are_shown_at_the_latest_epoch_that_enough_have_reached():
    longest = [([0.1 + i / 100, 0.2, 0.3 + i / 100, 0.9, 0.95], COMPLETED) for i in range(4)]
    middle = [([0.05, 0.1, 0.2 + i / 100], STOPPED) for i in range(6)]
    short = [([0.01], STOPPED)] * 5
    found, _ = shown("maximize", longest + middle + short)
    assert found == {i: values[2] for i, (values, _) in enumerate(longest + middle)}


def test_before_enough_trials_have_gone_further_all_are_shown_at_the_first_epoch():
    trials = [([0.1 + i / 100, 0.9], COMPLETED) for i in range(9)] + [([0.05], STOPPED)] * 3
    found, _ = shown("maximize", trials)
    assert found == {i: values[0] for i, (values, _) in enumerate(trials)}


@pytest.mark.parametrize(("direction", "worst"), [("maximize", 0.2), ("minimize", 0.9)])
@pytest.mark.parametrize("values", [[0.1, 0.1, math.nan], [0.1, math.nan], [math.nan], [math.inf], [0.1, -math.inf]])
def test_a_diverged_trial_is_seen_as_the_worst_at_that_epoch(direction, worst, values):
    trials = [([0.0, 1.0, value], STOPPED) for value in (0.5, 0.2, 0.6, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)]
    found, _ = shown(direction, [*trials, (values, DIVERGED)])
    assert found[10] == worst
    assert [found[i] for i in range(10)] == [values[2] for values, _ in trials]


@pytest.mark.parametrize(("direction", "worst"), [("maximize", 0.1), ("minimize", 0.9)])
def test_last_values_are_shown_where_a_sampler_waits_for_every_trial(direction, worst):
    trials = [([0.5, 0.9], COMPLETED), ([0.1], STOPPED), ([0.5, 0.5, 0.5], COMPLETED), ([0.3, math.nan], DIVERGED)]
    found, _ = shown(direction, trials, "cmaes")
    assert found == {0: 0.9, 1: 0.1, 2: 0.5, 3: worst}


def test_trials_that_diverged_alone_are_seen_as_equal_numbers():
    found, _ = shown("maximize", [([math.nan], DIVERGED)] * 12)
    assert len(found) == 12
    assert all(math.isfinite(value) for value in found.values())
    assert len(set(found.values())) == 1


def test_failed_and_unfinished_trials_are_not_learned_from():
    found, spy = shown("maximize", [*[([0.5], STOPPED)] * 10, ([0.9], FAILED), ([0.9], None), ([], FAILED)])
    assert set(found) == set(range(10))
    assert spy.learned_from == set(range(10))
    assert spy.shown[11.0] == (TrialState.RUNNING, None)  # what is being tried is known all the same


def test_the_trials_of_the_study_itself_are_left_as_they_are(tmp_path):
    searcher = StudySearcher(made(SQUARE, "gp", 0, 12), tmp_path / "study.log")
    for _ in range(11):
        tell(searcher, searcher.ask()[0], ([0.5, 0.6], STOPPED))
    searcher.ask()
    assert {t.state for t in searcher.study.get_trials()[:11]} == {TrialState.PRUNED}


def test_a_sampler_is_made_for_every_name():
    space = made(RANGES, "random", 0, 1).space
    found = {name: samplers.build(name, 0, 0, space) for name in NAMES if name != "grid"}
    kinds = {type(getattr(sampler, "sampler", sampler)) for sampler in found.values()}
    assert len(kinds) == len(found)
    assert all(issubclass(kind, BaseSampler) for kind in kinds)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_a_large_study_tpe_sees_the_best_the_latest_and_what_runs(monkeypatch: pytest.MonkeyPatch, direction: str):
    monkeypatch.setattr(views.Foremost, "BEST", 2)
    monkeypatch.setattr(views.Foremost, "LATEST", 3)
    study = optuna.create_study(direction=direction)
    running = study.ask().number
    values = [5.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0]
    study.add_trials([optuna.create_trial(value=value) for value in values])
    shown = views.Foremost(study).get_trials()
    best = {"maximize": [9.0, 8.0], "minimize": [1.0, 2.0]}[direction]
    assert {t.value for t in shown if t.number != running} == {*best, *values[-3:]}
    assert [t.number for t in shown] == sorted(t.number for t in shown)
    assert shown[0].number == running
    assert views.Foremost(study).get_trials(states=(TrialState.RUNNING,)) == shown[:1]


def test_tpe_sees_all_of_a_small_study():
    study = optuna.create_study()
    study.add_trials([optuna.create_trial(value=float(n)) for n in range(1000)])
    assert len(views.Foremost(study).get_trials()) == 1000
