"""The study follows from the journal, whatever is repeated and wherever a driver died."""

import math
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import search.study.study
from contract.outcomes import Outcome
from search.journal.records import TrialRecord
from search.orchestration.proposers import StudyProposer
from search.spec.loader import parse
from search.spec.spec import Spec
from search.study.study import StudySearcher

RANGES = {"lr": {"loguniform": [1e-4, 0.1]}, "batch_size": {"choice": [8, 16]}}


def made(space: dict = RANGES, sampler: str = "random", trials: int = 10, metric: str = "val_accuracy") -> Spec:
    content = {
        "name": "made",
        "data": "digits",
        "space": space,
        "objective": {"metric": metric},
        "sampler": {"name": sampler, "seed": 5},
        "scheduler": {"max_epochs": 9},
        "budget": {"trials": trials},
    }
    spec, problems = parse(content, "made.yaml", {})
    assert not problems
    return spec


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


def record(number: int, *values: float, outcome: Outcome | None = None) -> TrialRecord:
    epochs = {e: {"epoch": e, "train_loss": 1.0, "val_loss": 2.0, "val_accuracy": v} for e, v in enumerate(values, 1)}
    return TrialRecord(f"trial-{number:04d}", number, "search", {}, 0.0, epochs, outcome)


def run(searcher: StudySearcher, *values: float, outcome: Outcome | None = Outcome.COMPLETED) -> int:
    """One trial, asked for, reported and told."""
    number, _ = searcher.ask()
    for epoch, value in enumerate(values, 1):
        searcher.report(number, epoch, value)
    searcher.tell(record(number, *values, outcome=outcome))
    return number


def seen(path: Path) -> list:
    """The study as anyone sees who opens the file with plain Optuna; repr, for a NaN is not equal to itself."""
    plain = optuna.load_study(study_name="made", storage=JournalStorage(JournalFileBackend(str(path))))
    return [
        (t.number, t.state, t.value, repr(t.intermediate_values), t.params, t.user_attrs) for t in plain.get_trials()
    ]


def state(path: Path, number: int = 0) -> tuple[TrialState, str]:
    return seen(path)[number][1], seen(path)[number][3]


@pytest.mark.parametrize(
    ("outcome", "values", "state", "value"),
    [
        (Outcome.COMPLETED, (0.2, 0.6, 0.5), TrialState.COMPLETE, 0.5),
        (Outcome.STOPPED, (0.2, 0.3), TrialState.PRUNED, 0.3),
        (Outcome.DIVERGED, (0.2, math.nan), TrialState.PRUNED, None),
        (Outcome.FAILED, (0.2,), TrialState.FAIL, None),
        (Outcome.FAILED, (), TrialState.FAIL, None),
        (Outcome.INTERRUPTED, (0.2,), TrialState.RUNNING, None),
        (None, (0.2,), TrialState.RUNNING, None),
    ],
)
def test_each_outcome_has_its_state_in_the_study_with_the_value_of_every_epoch(study, outcome, values, state, value):
    searcher = StudySearcher(made(), study)
    run(searcher, *values, outcome=outcome)
    [(_, found, final, intermediate, _, attributes)] = seen(study)
    assert (found, final) == (state, value)
    assert intermediate == repr(dict(enumerate(values, 1)))
    if found.is_finished():
        assert attributes["outcome"] == outcome


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("val_accuracy", "MAXIMIZE"),
        ("train_accuracy", "MAXIMIZE"),
        ("val_loss", "MINIMIZE"),
        ("train_loss", "MINIMIZE"),
    ],
)
def test_the_studys_direction_is_the_objectives(study, metric, direction):
    assert StudySearcher(made(metric=metric), study).study.direction.name == direction


@pytest.mark.parametrize(("metric", "value"), [("val_accuracy", 0.9), ("val_loss", 2.0)])
def test_the_study_hears_the_objective_of_all_metrics(study, metric, value):
    proposer = StudyProposer(StudySearcher(made(metric=metric), study))
    proposal = proposer.propose()
    done = record(proposal.number, 0.9, outcome=Outcome.COMPLETED)
    proposer.report(done, 1, done.epochs[1])
    proposer.end(done)
    assert seen(study)[0][1:4] == (TrialState.COMPLETE, value, repr({1: value}))


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
@pytest.mark.parametrize("reconciled", [False, True], ids=["live", "reconciled"])
def test_a_diverged_trials_last_value_in_the_study_is_not_a_number_whatever_the_objective(study, metric, reconciled):
    searcher = StudySearcher(made(metric=metric), study)
    proposer = StudyProposer(searcher)
    diverged = record(proposer.propose().number, 0.3, 0.1, outcome=Outcome.DIVERGED)
    # An accuracy is a number even then: that of guessing.
    diverged.epochs[2] |= {"train_loss": math.nan, "val_loss": math.nan}
    if reconciled:
        searcher.reconcile([diverged])
    else:
        for epoch in (1, 2):
            proposer.report(diverged, epoch, diverged.epochs[epoch])
        proposer.end(diverged)
    [trial] = searcher.study.get_trials()
    assert trial.state is TrialState.PRUNED
    assert math.isnan(trial.intermediate_values[2])


def test_a_trial_that_diverged_with_finite_losses_is_told_like_any_other(study):
    """It exploded, or is dead: the accuracy that it reported is not worth knowing, by whichever way it is heard of."""
    searcher = StudySearcher(made(), study)
    heard = record(searcher.ask()[0], 0.3, 0.9, outcome=Outcome.DIVERGED)
    searcher.report(heard.number, 1, 0.3)
    searcher.tell(heard)
    searcher.reconcile([heard, record(searcher.ask()[0], 0.3, 0.9, outcome=Outcome.DIVERGED)])
    assert state(study, 0) == state(study, 1) == (TrialState.PRUNED, "{1: 0.3, 2: nan}")


def test_a_trial_that_diverged_without_an_epoch_is_told(study):
    searcher = StudySearcher(made(), study)
    searcher.tell(record(searcher.ask()[0], outcome=Outcome.DIVERGED))
    assert state(study) == (TrialState.PRUNED, "{1: nan}")


def test_plain_optuna_sees_what_the_searcher_sees(study):
    searcher = StudySearcher(made(), study)
    run(searcher, 0.1, 0.2)
    run(searcher, 0.1, outcome=Outcome.STOPPED)
    run(searcher, math.nan, outcome=Outcome.DIVERGED)
    run(searcher, outcome=Outcome.FAILED)
    run(searcher, 0.5, outcome=None)
    trials = [
        (t.number, t.state, t.value, repr(t.intermediate_values), t.params, t.user_attrs)
        for t in searcher.study.get_trials()
    ]
    assert seen(study) == trials
    assert len(trials) == 5


def test_a_number_and_its_configuration_are_those_of_the_study(study):
    searcher = StudySearcher(made({**RANGES, "augment": "flip"}), study)
    for expected in range(3):
        number, params = searcher.ask()
        assert number == expected
        assert params == {"model": "lenet", "augment": "flip", "epochs": 9, **seen(study)[number][4]}


def test_the_search_ends_with_its_last_trial_and_goes_on_with_a_larger_budget(study):
    searcher = StudySearcher(made(trials=3), study)
    assert [searcher.ask()[0] for _ in range(3)] == [0, 1, 2]
    assert searcher.ask() is None
    assert StudySearcher(made(trials=3), study).ask() is None
    more = StudySearcher(made(trials=4), study)
    assert more.ask()[0] == 3
    assert more.ask() is None


# Repetition


def test_reporting_an_epoch_again_changes_nothing(study):
    searcher = StudySearcher(made(), study)
    number, _ = searcher.ask()
    searcher.report(number, 1, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna would ignore it too, and tell the user of every one
        searcher.report(number, 1, 0.7)
    assert state(study) == (TrialState.RUNNING, "{1: 0.5}")


@pytest.mark.parametrize("first", [Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.FAILED])
def test_telling_again_changes_nothing(study, first):
    searcher = StudySearcher(made(), study)
    number = run(searcher, 0.5, outcome=first)
    before = seen(study)
    for again in Outcome:
        searcher.tell(record(number, 0.5, outcome=again))
        StudySearcher(made(), study).tell(record(number, 0.5, outcome=again))
    assert seen(study) == before


def test_an_interrupted_trial_is_gone_on_with_by_another_driver(study):
    searcher = StudySearcher(made(), study)
    number = run(searcher, 0.5, outcome=Outcome.INTERRUPTED)
    again = StudySearcher(made(), study)
    again.reconcile([record(number, 0.5, outcome=Outcome.INTERRUPTED)])
    assert state(study) == (TrialState.RUNNING, "{1: 0.5}")
    again.report(number, 2, 0.6)
    again.tell(record(number, 0.5, 0.6, outcome=Outcome.COMPLETED))
    assert seen(study)[0][1:4] == (TrialState.COMPLETE, 0.6, "{1: 0.5, 2: 0.6}")
    assert again.ask()[0] == 1


# A driver that died between the journal and the study

DIED = {
    # what the journal has; what the study had been told before the driver died; the state and values after reconciling
    "before the journal heard of the trial": (None, [], TrialState.RUNNING, "{}"),
    "after the trial began": (record(0), [], TrialState.RUNNING, "{}"),
    "before the study heard of the first epoch": (record(0, 0.1), [], TrialState.RUNNING, "{1: 0.1}"),
    "before the study heard of a later epoch": (
        record(0, 0.1, 0.2, 0.3),
        [0.1, 0.2],
        TrialState.RUNNING,
        "{1: 0.1, 2: 0.2, 3: 0.3}",
    ),
    "before the study heard of the end": (
        record(0, 0.1, 0.2, outcome=Outcome.COMPLETED),
        [0.1, 0.2],
        TrialState.COMPLETE,
        "{1: 0.1, 2: 0.2}",
    ),
    "before it heard that it was stopped": (
        record(0, 0.1, outcome=Outcome.STOPPED),
        [0.1],
        TrialState.PRUNED,
        "{1: 0.1}",
    ),
    "before it heard of a failure": (record(0, outcome=Outcome.FAILED), [], TrialState.FAIL, "{}"),
    "before it heard of the last epoch and the end": (
        record(0, 0.1, 0.2, outcome=Outcome.STOPPED),
        [0.1],
        TrialState.PRUNED,
        "{1: 0.1, 2: 0.2}",
    ),
    "after it was interrupted": (record(0, 0.1, outcome=Outcome.INTERRUPTED), [0.1], TrialState.RUNNING, "{1: 0.1}"),
}


@pytest.mark.parametrize(("journaled", "told", "expected", "values"), DIED.values(), ids=list(DIED))
def test_reconciling_brings_the_study_up_to_the_journal(study, journaled, told, expected, values):
    searcher = StudySearcher(made(), study)
    number, _ = searcher.ask()
    for epoch, value in enumerate(told, 1):
        searcher.report(number, epoch, value)

    again = StudySearcher(made(), study)
    for _ in range(2):  # and once more, for a driver that died while reconciling
        again.reconcile([journaled] if journaled else [])
        assert state(study) == (expected, values)
        if expected is TrialState.COMPLETE:
            assert seen(study)[0][2] == 0.2
    assert again.ask()[0] == (1 if journaled else number), "a trial that nobody trained is asked for again"


def test_a_trial_that_was_half_asked_for_is_asked_for_again_with_what_was_drawn(study, monkeypatch):
    space = {"lr": {"uniform": [0.1, 0.9]}, "momentum": {"uniform": [0.5, 0.9]}, "optimizer": "sgd"}
    whole = StudySearcher(made(space), study.with_name("whole.log")).ask()
    searcher = StudySearcher(made(space), study)
    draw = search.study.study._draw

    def killed(trial, key, distribution):
        if key == "momentum":
            raise KeyboardInterrupt
        return draw(trial, key, distribution)

    monkeypatch.setattr(search.study.study, "_draw", killed)
    with pytest.raises(KeyboardInterrupt):
        searcher.ask()
    monkeypatch.undo()
    again = StudySearcher(made(space), study)
    again.reconcile([])
    number, params = again.ask()
    assert (number, params["lr"]) == (whole[0], whole[1]["lr"])
    assert 0.5 <= params["momentum"] <= 0.9
    assert again.ask()[0] == 1


def test_reconciling_leaves_what_is_finished_alone(study):
    searcher = StudySearcher(made(), study)
    records = [
        record(run(searcher, 0.1, 0.2), 0.1, 0.2, outcome=Outcome.COMPLETED),
        record(run(searcher, outcome=Outcome.FAILED), outcome=Outcome.FAILED),
    ]
    before = seen(study)
    StudySearcher(made(), study).reconcile(records)
    StudySearcher(made(), study).reconcile([])
    assert seen(study) == before


def test_a_driver_that_died_while_asking_makes_the_next_one_skip_no_grid_point(study, monkeypatch):
    space = {"seed": {"grid": [0, 1, 2]}}
    searcher = StudySearcher(made(space), study)
    assert searcher.ask()[1]["seed"] == 0
    with monkeypatch.context() as dying:
        dying.setattr(optuna.Trial, "suggest_categorical", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            searcher.ask()  # the trial has its grid point in the study, and the journal never hears of it
    assert [trial[1:2] for trial in seen(study)] == [(TrialState.RUNNING,)] * 2
    again = StudySearcher(made(space), study)
    again.reconcile([record(0)])
    assert [again.ask()[1]["seed"] for _ in range(2)] == [1, 2]
    assert again.ask() is None


def test_half_a_last_line_in_the_studys_file_is_survived(study):
    searcher = StudySearcher(made(), study)
    run(searcher, 0.1)
    whole = study.read_bytes()
    study.write_bytes(whole + b'{"op_code":6,"worker_id":"8c25')
    again = StudySearcher(made(), study)
    run(again, 0.2)
    assert [trial[2] for trial in seen(study)] == [0.1, 0.2]
    assert StudySearcher(made(), study).ask()[0] == 2


# Grids


def all_of(searcher: StudySearcher, tell: bool = True) -> list[dict]:
    found: list[dict] = []
    while (asked := searcher.ask()) is not None:
        assert len(found) < searcher.spec.trials
        found.append(asked[1])
        if tell:
            searcher.report(asked[0], 1, 0.5)
            searcher.tell(record(asked[0], 0.5, outcome=Outcome.COMPLETED))
    return found


@pytest.mark.parametrize("tell", [True, False], ids=["one after the other", "all at a time"])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_each_draw_is_tried_at_every_grid_point(study, sampler, tell):
    space = {"seed": {"grid": [0, 1, 2]}, "augment": {"grid": ["none", "flip"]}, **RANGES}
    tried = all_of(StudySearcher(made(space, sampler, trials=24), study), tell)
    drawn = [(p["lr"], p["batch_size"]) for p in tried]
    assert [drawn[6 * n : 6 * n + 6] for n in range(4)] == [[drawn[6 * n]] * 6 for n in range(4)]
    assert len({lr for lr, _ in drawn}) == 4
    for n in range(4):
        points = [(p["seed"], p["augment"]) for p in tried[6 * n : 6 * n + 6]]
        assert points == [(s, a) for s in (0, 1, 2) for a in ("none", "flip")]


def test_a_key_that_exists_at_some_grid_points_only_has_one_value_a_draw(study):
    space = {
        "optimizer": {"grid": ["adam", "sgd"]},
        "seed": {"grid": [0, 1, 2]},
        "momentum": {"uniform": [0.1, 0.9], "when": {"optimizer": "sgd"}},
    }
    tried = all_of(StudySearcher(made(space, trials=12), study))
    for draw in (tried[:6], tried[6:]):
        assert [p["optimizer"] for p in draw] == ["adam"] * 3 + ["sgd"] * 3
        assert ["momentum" in p for p in draw] == [False] * 3 + [True] * 3
        assert len({p["momentum"] for p in draw[3:]}) == 1
    assert tried[3]["momentum"] != tried[9]["momentum"]


def test_a_draw_goes_on_over_the_grid_after_a_resume(study):
    space = {"seed": {"grid": [0, 1, 2]}, **RANGES}
    searcher = StudySearcher(made(space, trials=6), study)
    first = [searcher.ask()[1] for _ in range(2)]
    rest = all_of(StudySearcher(made(space, trials=6), study))
    tried = first + rest
    assert [p["seed"] for p in tried] == [0, 1, 2, 0, 1, 2]
    assert len({p["lr"] for p in tried[:3]}) == len({p["lr"] for p in tried[3:]}) == 1
    assert tried[0]["lr"] != tried[3]["lr"]


def test_the_grid_sampler_tries_every_combination_once_in_order(study):
    space = {
        "optimizer": {"choice": ["adam", "sgd"]},
        "momentum": {"grid": [0.8, 0.9], "when": {"optimizer": "sgd"}},
        "decay_interval": {"int": [2, 3]},
    }
    tried = all_of(StudySearcher(made(space, "grid", trials=100), study))
    assert [(p["optimizer"], p.get("momentum"), p["decay_interval"]) for p in tried] == [
        ("adam", None, 2),
        ("adam", None, 3),
        ("sgd", 0.8, 2),
        ("sgd", 0.8, 3),
        ("sgd", 0.9, 2),
        ("sgd", 0.9, 3),
    ]
