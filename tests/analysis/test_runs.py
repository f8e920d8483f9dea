"""The record is the contract: what `search.tracking` writes, `analysis.runs` reads."""

from pathlib import Path

import pytest

from analysis import runs
from search.journal import Journal
from search.outcomes import Outcome
from search.tracking import Tracker

METRICS = {"train_loss": 2.0, "val_loss": 1.9, "val_accuracy": 0.3}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two trials of one search: one completed with adam, one stopped with sgd."""
    folder: Path = tmp_path_factory.mktemp("record")
    journal = Journal(folder / "journal.jsonl")
    common = {"lr": 0.01, "batch_size": 64, "seed": 0}
    for number, (params, last, outcome) in enumerate(
        [
            ({**common, "optimizer": "adam"}, 3, Outcome.COMPLETED),
            ({**common, "optimizer": "sgd", "momentum": 0.9}, 1, Outcome.STOPPED),
        ]
    ):
        trial = f"trial-{number:04d}"
        journal.append("trial", id=trial, number=number, phase="search", params=params)
        for epoch in range(1, last + 1):
            metrics = {name: value + epoch / 10 for name, value in METRICS.items()}
            journal.append("epoch", id=trial, metrics={"epoch": epoch, **metrics})
        journal.append("end", id=trial, outcome=outcome, reason="", epoch=last)
    address = f"sqlite:///{folder}/mlflow.db"
    tags = {"search.id": "s1", "data": "made", "data.fingerprint": "f00"}
    assert Tracker(journal.path, address, "record", tags, first_metric="val_accuracy").close(60)
    journal.close()
    return address


def test_a_row_a_trial_with_settings_as_numbers(uri: str):
    trials = runs.load("record", tracking_uri=uri).trials.set_index("trial")
    assert list(trials.index.sort_values()) == ["trial-0000", "trial-0001"]
    assert dict(trials["outcome"]) == {"trial-0000": "completed", "trial-0001": "stopped"}
    assert dict(trials["epochs"]) == {"trial-0000": 3, "trial-0001": 1}
    assert trials["params.lr"].tolist() == [0.01, 0.01]
    assert trials["params.momentum"].isna().to_dict() == {"trial-0000": True, "trial-0001": False}
    assert trials.loc["trial-0001", "params.optimizer"] == "sgd"
    assert trials.loc["trial-0000", "metrics.val_accuracy"] == pytest.approx(0.6)


def test_a_row_a_trial_and_epoch(uri: str):
    curves = runs.load("record", tracking_uri=uri).curves
    first = curves[curves.trial == "trial-0000"].sort_values("epoch")
    assert first["epoch"].tolist() == [1, 2, 3]
    assert first["val_loss"].tolist() == pytest.approx([2.0, 2.1, 2.2])
    assert len(curves) == 4


def test_one_search_of_an_experiment(uri: str):
    assert len(runs.load("record", tracking_uri=uri, search="s1").trials) == 2
    assert runs.load("record", tracking_uri=uri, search="other").trials.empty


def test_an_unknown_experiment_lists_those_there_are(uri: str):
    with pytest.raises(runs.NoSuchExperiment, match="record"):
        runs.load("recrod", tracking_uri=uri)
