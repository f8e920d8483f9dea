"""A metric is any name with a number: one that no module knows is in the frames, the tables and the report."""

from dataclasses import replace
from pathlib import Path

import by_hand
import made
import pandas as pd
import pytest

from analysis import compare, leaderboard, record, report, runs
from analysis.plots import best_curves, learning_curves
from analysis.record import Record
from analysis.testing import check_plot

MARGIN = "val_margin"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two searches whose trials report a margin: `aside` raises the accuracy, `objective` the margin itself."""
    folder: Path = tmp_path_factory.mktemp("margin")
    address = f"sqlite:///{folder}/mlflow.db"
    shared = {"scheduler": {"name": "asha", "max_epochs": 3}, "budget": {"trials": 22}}
    for name, objective in (("aside", {"metric": "val_accuracy"}), ("objective", {"metric": MARGIN, "mode": "max"})):
        spec = made.spec(folder, name=name, objective=objective, confirm={"top": 2, "seeds": 2}, **shared)
        made.search(spec, folder / "results", folder / "data", address, formula=made.with_margin)
    return address


@pytest.fixture(scope="module")
def objective(uri: str) -> Record:
    return record.load("objective", tracking_uri=uri)


@pytest.mark.parametrize("name", ["aside", "objective"])
def test_the_frames_have_it(uri: str, name: str):
    frames = runs.load(name, tracking_uri=uri)
    done = frames.trials[frames.trials["outcome"] == "completed"]
    assert len(done)
    assert done[f"metrics.{MARGIN}"].tolist() == pytest.approx((3 * done["metrics.val_accuracy"] - 1).tolist())
    finite = frames.curves.dropna(subset="val_accuracy")
    assert finite[MARGIN].tolist() == pytest.approx((3 * finite["val_accuracy"] - 1).tolist())


def test_the_objective_ranks_and_decides_who_won(objective: Record):
    assert (objective.metric, objective.maximize) == (MARGIN, True)
    values = objective.ranked[f"metrics.{MARGIN}"].tolist()
    assert values == sorted(values, reverse=True)
    first, second = objective.confirmed
    assert first.values(MARGIN).mean() > second.values(MARGIN).mean()
    said = leaderboard.verdict(objective)
    assert said.startswith(f"Trial {first.number} won: validation margin {first.values(MARGIN).mean():.4f} ± ")
    assert "test accuracy" in said
    assert "percentage points" not in said


@pytest.mark.parametrize("name", ["aside", "objective"])
def test_the_table_of_trials_has_it(uri: str, name: str):
    found = record.load(name, tracking_uri=uri)
    table = leaderboard.all_trials(found)
    assert list(table.frame.columns[3:8]) == [
        found.metric, *sorted({MARGIN, "train_accuracy", "train_loss", "val_accuracy", "val_loss"} - {found.metric})
    ][:5]  # fmt: skip
    assert table.frame[MARGIN].notna().sum() == found.trials[f"metrics.{MARGIN}"].notna().sum() > 0


@pytest.mark.parametrize("name", ["aside", "objective"])
def test_the_report_is_made_and_shows_it(uri: str, name: str, tmp_path: Path):
    assert report.main([name, "--tracking-uri", uri, "--out", str(tmp_path), "--no-png"]) == 0
    text = (tmp_path / "index.html").read_text()
    assert MARGIN in pd.read_csv(tmp_path / "csv" / "best_curves.csv")["metric"].unique()
    assert "margin" in text
    if name == "objective":
        assert "validation margin, larger is better" in text
        assert len(pd.read_csv(tmp_path / "csv" / "learning_curves.csv"))


def test_searches_are_compared_by_it(uri: str, objective: Record, tmp_path: Path):
    names = ["objective", f"objective/{objective.ranked['trial'].iloc[0]}"]
    assert compare.main([*names, "--tracking-uri", uri, "--out", str(tmp_path), "--no-png"]) == 0
    assert pd.read_csv(tmp_path / "csv" / "differences.csv")["measure"][0] == MARGIN
    assert (tmp_path / "csv" / f"differences_{MARGIN}.csv").is_file()
    contenders = pd.read_csv(tmp_path / "csv" / "contenders.csv")
    assert contenders[f"{MARGIN}_mean"].notna().all()


@pytest.mark.parametrize("name", ["epoch", "time", "value", "trial", "outcome", "seconds", "lr", "a/b", "../x", "num"])
def test_a_metric_may_have_the_name_of_a_column(name: str, tmp_path: Path):
    trials = [by_hand.trial([0.1 * i, 0.2 * i], lr=0.1 * i) for i in range(1, 4)]
    found = by_hand.record(trials, [{"key": "lr", "low": 0.01, "high": 1.0}])
    columns = {"metrics.val_accuracy": f"metrics.{name}"}
    found = replace(
        found,
        description={**found.description, "objective": {"metric": name, "maximize": True}},
        trials=found.trials.rename(columns=columns),
        curves=found.curves.rename(columns={"val_accuracy": runs.curve_column(name)}),
    )
    assert found.ranked["number"].tolist() == [2, 1, 0]
    assert found.at(1)["value"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert leaderboard.all_trials(found).frame["trial"].tolist() == [2, 1, 0]
    for plot in (learning_curves, best_curves):
        assert check_plot(plot, found) == ""
