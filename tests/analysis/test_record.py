"""What a record says of a search: ranks, confirmed means, values at one epoch."""

import math
from pathlib import Path

import made
import pytest
from by_hand import record as by_hand
from by_hand import trial
from mlflow.tracking import MlflowClient

from analysis import record
from analysis.errors import AnalysisError, Missing
from contract.record import DESCRIPTION_FILE
from search.journal.journal import Journal
from search.orchestration.confirmation import best, confirmed


def test_the_record_agrees_with_the_search_about_who_is_best(made_search, made_record):
    journal = Journal(made_search.folder / "results" / "made" / made_search.id / "journal.jsonl")
    spec = made.spec(made_search.folder)
    assert made_record.ranked["trial"].tolist() == [r.id for r in best(spec, journal)]
    ours, theirs = made_record.confirmed, confirmed(spec, journal)
    assert [c.number for c in ours] == [c.number for c in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for metric in ("val_accuracy", "test_accuracy"):
            assert one.values(metric).tolist() == pytest.approx(other.values(metric))
    journal.close()


def test_what_the_search_said_of_itself_comes_back(made_record):
    settings = {s.key: s for s in made_record.settings}
    assert list(settings) == ["lr", "batch_size", "optimizer", "momentum", "decay_interval"]
    assert (settings["lr"].low, settings["lr"].high, settings["lr"].log) == (1e-4, 1e-1, True)
    assert settings["batch_size"].choices == (32, 64, 128)
    assert settings["decay_interval"].integer
    assert settings["momentum"].when == {"optimizer": ["sgd"]}
    assert made_record.rungs == [1, 3]
    assert (made_record.metric, made_record.maximize, made_record.title) == ("val_accuracy", True, "digits")
    assert "loguniform" in made_record.spec


def test_foreign_runs_are_told_of(made_record):
    assert made_record.notes == ("1 run of another program in the same experiment is left out.",)


def test_an_experiment_gives_its_latest_search_and_names_the_others(made_search, tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "mlflow.db").write_bytes((made_search.folder / "mlflow.db").read_bytes())
    spec = made.spec(tmp_path, budget={"trials": 2}, confirm=None)
    later = made.search(spec, tmp_path / "results", tmp_path / "data", uri)
    found = record.load("made", tracking_uri=uri)
    assert found.id == later
    assert len(found.trials) == 2
    assert f"this is the latest. The others: {made_search.id}." in found.notes[0]
    assert record.load(made_search.id, tracking_uri=uri).id == made_search.id


def test_an_experiment_of_other_programs_alone_is_refused(empty_database: Path, tmp_path: Path):
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    client.create_run(client.create_experiment("theirs"))
    with pytest.raises(AnalysisError, match="theirs: no search in it has begun a trial; 1 run of another program"):
        record.load("theirs", tracking_uri=uri)


def test_without_the_description_there_is_no_record(made_search, tmp_path: Path):
    client = MlflowClient(made_search.uri)
    parent = record.load("made", tracking_uri=made_search.uri).parent
    place = Path(client.get_run(parent.info.run_id).info.artifact_uri)
    (place / DESCRIPTION_FILE).rename(tmp_path / DESCRIPTION_FILE)
    try:
        with pytest.raises(AnalysisError, match=f"search {made_search.id}: search.json of run .* cannot be fetched"):
            record.load("made", tracking_uri=made_search.uri)
    finally:
        (tmp_path / DESCRIPTION_FILE).rename(place / DESCRIPTION_FILE)


def test_trials_are_ranked_by_their_last_value_longer_ones_first():
    found = by_hand([
        trial([0.1, 0.7]), trial([0.9, 0.6]), trial([0.7], "stopped"), trial([math.nan], "diverged"),
        trial([], "failed"), trial([0.8], "interrupted"),
    ])  # fmt: skip
    assert found.ranked["number"].tolist() == [0, 2, 1]


def test_the_smaller_loss_is_the_better():
    found = by_hand([trial([2.0, 0.5]), trial([1.0, 0.4])], maximize=False)
    assert found.ranked["number"].tolist() == [1, 0]


def test_the_winner_is_the_best_confirmed_mean_else_the_best_trial():
    values = {(4, 1000): 0.5, (4, 1001): 0.7, (2, 1000): 0.65, (2, 1001): 0.6}
    runs = [{**trial([value]), "number": number, "seed": seed} for (number, seed), value in values.items()]
    found = by_hand([trial([0.9])], confirmations=runs)
    assert [c.number for c in found.confirmed] == [2, 4]
    assert found.winner["seed"].tolist() == [1000, 1001]
    assert by_hand([trial([0.1]), trial([0.9])]).winner["number"].tolist() == [1]
    with pytest.raises(Missing):
        _ = by_hand([trial([], "failed")]).winner


def test_a_confirmation_that_failed_does_not_count():
    runs = [{**trial([0.9], "failed"), "number": 1, "seed": 1000}, {**trial([0.5]), "number": 1, "seed": 1001}]
    assert by_hand([trial([0.9])], confirmations=runs).confirmed[0].values("val_accuracy").to_dict() == {1001: 0.5}


@pytest.mark.parametrize(("maximize", "worst"), [(True, 0.2), (False, 0.8)])
def test_a_diverged_trial_counts_as_the_worst_at_its_last_epoch(maximize, worst):
    found = by_hand(
        [trial([0.2, 0.3]), trial([0.8], "stopped"), trial([math.nan], "diverged"), trial([], "failed")],
        maximize=maximize,
    )
    assert found.at(1).set_index("number")["value"].to_dict() == {0: 0.2, 1: 0.8, 2: worst}
    assert found.at(2).set_index("number")["value"].to_dict() == {0: 0.3}
    assert found.at(7).empty


@pytest.mark.parametrize(
    ("lengths", "epoch"),
    [
        ([1] * 30 + [3] * 25 + [9] * 5, 3),  # the latest rung that 20 reached: 30 of 60
        ([1] * 30 + [3] * 5, 1),
        ([9] * 25, 9),
        ([1] * 5 + [3] * 4, 1),  # nowhere enough: where the most are
        ([9] * 4, 9),  # where equally many are, the latest
    ],
)
def test_settings_are_compared_at_the_latest_epoch_that_enough_trials_reached(lengths, epoch):
    found = by_hand([trial([0.5] * n, "stopped") for n in lengths], rungs=[1, 3])
    assert found.comparable_epoch == epoch


def test_without_an_epoch_nothing_can_be_compared():
    with pytest.raises(Missing):
        _ = by_hand([trial([], "failed")]).comparable_epoch
