"""A search goes on in a changed space with what still fits, and with a study that was damaged."""

import math
import shutil
from pathlib import Path
from random import Random

import pytest
from conftest import write_spec
from optuna.trial import TrialState

from analysis.record import load
from contract.outcomes import Outcome
from search import run
from search.journal import compatibility
from search.journal.journal import Journal
from search.journal.records import TrialRecord
from search.spec.loader import parse
from search.spec.spec import Spec
from search.study.counts import POINT
from search.study.study import StudySearcher
from trainables.config import TrainConfig

RANGES = {"lr": {"loguniform": [1e-4, 0.1]}, "batch_size": {"choice": [8, 16]}}


def made(space: dict = RANGES, sampler: str = "tpe", trials: int = 20) -> Spec:
    content = {
        "name": "made",
        "data": "digits",
        "space": space,
        "sampler": {"name": sampler, "seed": 5},
        "scheduler": {"max_epochs": 9},
        "budget": {"trials": trials},
    }
    spec, problems = parse(content, "made.yaml", {})
    assert not problems
    return spec


OUTCOMES = (Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.FAILED, Outcome.INTERRUPTED)


def searched(spec: Spec, path: Path, trials: int = 15) -> list[TrialRecord]:
    """Trials of every outcome, as the journal knows them; the study knows them too."""
    searcher, records = StudySearcher(spec, path), []
    for _ in range(trials):
        number, params = searcher.ask()
        outcome = OUTCOMES[number % len(OUTCOMES)]
        values = [0.1 * (number % 7), 0.5, math.nan if outcome is Outcome.DIVERGED else 0.6]
        epochs = {e: {"epoch": e, "train_loss": v, "val_loss": v, "val_accuracy": v} for e, v in enumerate(values, 1)}
        in_effect = TrainConfig.from_params(params).in_effect()
        record = TrialRecord(f"trial-{number:04d}", number, "search", in_effect, 0.0, epochs, outcome)
        for epoch, metrics in epochs.items():
            searcher.report(number, epoch, searcher.value_of(metrics))
        searcher.tell(record)
        records.append(record)
    return records


def told(searcher: StudySearcher) -> list:
    trials = searcher.study.get_trials()
    return [(t.number, t.state, t.value, repr(t.intermediate_values), t.params, t.user_attrs) for t in trials]


def reopened(spec: Spec, path: Path, records: list[TrialRecord]) -> StudySearcher:
    searcher = StudySearcher(spec, path)
    searcher.reconcile(records)
    return searcher


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


# A changed space


def test_an_unchanged_space_leaves_the_study_as_it_is(study):
    records = searched(made(), study)
    before = told(StudySearcher(made(), study))
    searcher = StudySearcher(made(trials=40), study)
    assert not searcher.changed
    assert not searcher.reconcile(records)
    assert told(searcher) == before


@pytest.mark.parametrize(
    ("space", "kept"),
    [
        ({**RANGES, "lr": {"loguniform": [1e-6, 1.0]}}, lambda p: True),
        ({**RANGES, "lr": {"loguniform": [1e-4, 1e-2]}}, lambda p: p["lr"] <= 1e-2),
        ({**RANGES, "batch_size": {"choice": [16, 32]}}, lambda p: p["batch_size"] == 16),
        ({**RANGES, "batch_size": 16}, lambda p: p["batch_size"] == 16),
        ({**RANGES, "weight_decay": {"uniform": [0.0, 0.1]}}, lambda p: True),
        ({**RANGES, "augment": {"choice": ["none", "flip"]}}, lambda p: True),
        ({**RANGES, "batch_size": {"grid": [8, 16, 32]}}, lambda p: True),
    ],
    ids=["widened", "narrowed", "other choices", "fixed", "a default is searched", "a default is a choice", "grid"],
)
def test_what_fits_a_changed_space_is_kept_as_knowledge_and_the_rest_keeps_its_number(study, space, kept):
    records = searched(made(), study)
    spec = made(space)
    fitting_ids = {r.id for r in records if kept(r.params)}
    assert fitting_ids
    assert {r.id for r in records} - compatibility.outside(spec, records) == fitting_ids
    for record in records:
        record.outside = record.id not in fitting_ids
    searcher = StudySearcher(spec, study)
    assert searcher.changed
    before = {t.number: t for t in searcher.study.get_trials()}
    assert searcher.reconcile(records)
    after = {t.number: t for t in searcher.study.get_trials()}
    assert list(after) == list(before)
    for record in records:
        old, new = before[record.number], after[record.number]
        if record.id in fitting_ids:
            assert (new.state, new.value) == (old.state, old.value)
            assert repr(new.intermediate_values) == repr(old.intermediate_values)
            shared = set(new.params) & set(old.params)
            assert {k: new.params[k] for k in shared} == {k: old.params[k] for k in shared}
            assert set(new.params) == {p.key for p in spec.space.parameters}
        else:
            assert (new.state, new.params) == (TrialState.FAIL, {})
    again = StudySearcher(spec, study)
    assert not again.changed
    assert not again.reconcile(records)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random"])
def test_every_sampler_goes_on_in_a_changed_space_from_the_next_number(study, sampler):
    records = searched(made(sampler=sampler), study)
    spec = made({**RANGES, "lr": {"loguniform": [1e-4, 1e-2]}}, sampler, trials=40)
    searcher = reopened(spec, study, records)
    unfinished = {r.number for r in records if r.outcome is Outcome.INTERRUPTED}
    for expected in range(len(records), len(records) + 5):
        number, params = searcher.ask()
        assert number == expected
        assert number not in unfinished
        assert 1e-4 <= params["lr"] <= 1e-2
        searcher.report(number, 1, 0.5)


def test_the_budget_counts_the_trials_that_fit(study):
    records = searched(made(trials=15), study)
    spec = made({**RANGES, "batch_size": 16}, trials=15)
    left_out = len(compatibility.outside(spec, records))
    assert left_out
    searcher = reopened(spec, study, records)
    asked = 0
    while searcher.ask() is not None:
        asked += 1
    assert asked == left_out


def test_a_grid_that_grows_gets_its_new_points_and_repeats_none(study):
    small = {"batch_size": {"grid": [8, 16]}, "seed": {"grid": [0, 1]}}
    records = searched(made(small, "grid"), study, trials=4)
    large = {"batch_size": {"grid": [8, 16, 32]}, "seed": {"grid": [0, 1, 2]}}
    searcher = reopened(made(large, "grid"), study, records)
    done = {(r.params["batch_size"], r.params["seed"]) for r in records}
    new = set()
    while (asked := searcher.ask()) is not None:
        new.add((asked[1]["batch_size"], asked[1]["seed"]))
    assert not new & done
    assert new | done == {(b, s) for b in (8, 16, 32) for s in (0, 1, 2)}


def test_a_grid_crossed_with_a_range_goes_on_with_the_point_that_has_the_fewest_draws(study):
    space = {"lr": RANGES["lr"], "batch_size": {"grid": [8, 16]}}
    records = searched(made(space), study, trials=5)
    searcher = reopened(made({**space, "batch_size": {"grid": [8, 16, 32]}}), study, records)
    sizes = [searcher.ask()[1]["batch_size"] for _ in range(4)]
    assert sizes == [32, 32, 16, 32]  # after three trials with 8 and two with 16


def test_a_trial_is_found_again_by_conditions_and_defaults():
    space = {
        "optimizer": {"choice": ["adam", "sgd"]},
        "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
    }
    spec = made(space)
    points = compatibility.plan(spec)
    adam = TrainConfig.from_params({**spec.space.constants, "optimizer": "adam"}).in_effect()
    sgd = TrainConfig.from_params({**spec.space.constants, "optimizer": "sgd", "momentum": 0.7}).in_effect()
    assert compatibility.fitted(spec.space, points, adam) == (0, {"optimizer": "adam"})
    assert compatibility.fitted(spec.space, points, sgd) == (0, {"optimizer": "sgd", "momentum": 0.7})
    assert compatibility.fitted(spec.space, points, sgd | {"momentum": 0.4}) is None
    assert compatibility.fitted(spec.space, points, sgd | {"weight_decay": 0.1}) is None


# A damaged study


def test_a_damaged_study_is_detected_and_made_anew_from_the_journal(study, tmp_path):
    records = searched(made(), study)
    whole, random = study.read_bytes(), Random(0)
    right = told(StudySearcher(made(), study))
    meaning = lambda trials: [(n, s, v, i, p, a.get(POINT)) for n, s, v, i, p, a in trials]  # noqa: E731
    for _ in range(60):
        damaged = bytearray(whole)
        if random.random() < 0.3:
            damaged = damaged[: random.randrange(len(damaged))]
        else:
            for _ in range(random.choice([1, 1, 20])):
                damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        study.write_bytes(damaged)
        searcher = reopened(made(), study, records)
        found = meaning(told(searcher))
        # The parts of a trial that decide what is proposed next; of one that failed only that it was there.
        assert [t if t[1] is not TrialState.FAIL else t[:2] for t in found] == [
            t if t[1] is not TrialState.FAIL else t[:2] for t in meaning(right)
        ]
        assert searcher.ask()[0] == len(records)
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_setting_that_is_searched_for_some_trials_only_is_no_contradiction(study):
    """The others have its default, which their study trial does not name."""
    space = {
        "optimizer": "sgd",
        "schedule": {"choice": ["step", "constant"]},
        "momentum": {"uniform": [0.5, 0.95], "when": {"schedule": "step"}},
    }
    records = searched(made(space), study)
    assert all("momentum" in r.params for r in records)
    assert {len(t.params) for t in StudySearcher(made(space), study).study.get_trials()} == {1, 2}
    assert not StudySearcher(made(space), study).reconcile(records)


# Whole searches


@pytest.fixture
def _here(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")


@pytest.mark.usefixtures("_here")
def test_a_search_goes_on_in_a_narrowed_space_and_says_which_trials_it_kept(tmp_path, capsys):
    small = {"lr": {"loguniform": [1e-4, 1e-1]}, "batch_size": {"choice": [32, 64]}, "train_fraction": 0.1}
    spec = write_spec(tmp_path / "mine.yaml", space=small, scheduler={"name": "none", "max_epochs": 1})
    command = [str(spec), "--in-process", "--no-report"]
    assert run.main(command) == 0
    capsys.readouterr()
    assert run.main([*command, "--resume"]) == 0
    assert "Nothing is left to do" in capsys.readouterr().out
    (path,) = tmp_path.glob("results/mine/*/journal.jsonl")
    before = Journal(path)
    before.close()
    kept = [str(r.number) for r in before.trials("search") if r.params["batch_size"] == 32]
    left = [str(r.number) for r in before.trials("search") if r.params["batch_size"] == 64]
    assert kept
    assert left
    assert run.main([*command, "--resume", "--set", "space.batch_size=32", "--set", "confirm={top: 1, seeds: 1}"]) == 0
    out = capsys.readouterr().out
    assert f"Kept as knowledge: trials {', '.join(kept)}." in out
    assert f"left out: trials {', '.join(left)}." in out
    after = Journal(path)
    after.close()
    assert len([r for r in after.trials("search") if not r.outside]) == 4
    assert all(after.records[id].epochs == record.epochs for id, record in before.records.items())
    assert {r.params["batch_size"] for r in after.trials("confirm")} == {32}
    report = load("mine")
    assert set(report.trials["number"]) == {r.number for r in after.trials("search") if not r.outside}
    assert set(report.curves["trial"]) == {r.id for r in after.records.values() if not r.outside}
    assert any(f"left out of everything below: {', '.join(left)}." in note for note in report.notes)
    assert run.main([*command, "--resume"]) == 0, "and back again"
    assert "left out" not in capsys.readouterr().out
    back = Journal(path)
    assert not any(r.outside for r in back.records.values())
    assert set(load("mine").trials["number"]) == {r.number for r in back.trials("search")}
