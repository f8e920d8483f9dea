"""Contenders by name, the numbers of the page by hand, and every mistake told at once."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import made
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from analysis import compare, page
from analysis.comparison import contenders, lines, points, tables
from analysis.comparison.contenders import Contender
from analysis.comparison.sections import sections
from analysis.errors import AnalysisError, Missing
from analysis.record import Record
from contract.record import FINGERPRINT

KEYS = {"optimizer": "adam", "lr": 0.01, "decay_interval": 5}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four searches: with and without augmentation, one that lowers the loss, and one of which every trial failed."""
    folder: Path = tmp_path_factory.mktemp("compare")
    address = f"sqlite:///{folder}/mlflow.db"

    def search(name: str, space: dict, failing: frozenset[int] = frozenset(), **changes: object) -> None:
        spec = made.spec(folder, name=name, space={**KEYS, **space}, **changes)
        made.search(spec, folder / "results", folder / "data", address, failing)

    scheduler, confirm = {"name": "asha", "max_epochs": 3}, {"top": 1, "seeds": 3}
    shared = {"scheduler": scheduler, "budget": {"trials": 3}}
    search("plain", {"batch_size": {"choice": [32]}}, confirm=confirm, **shared)
    search("flipped", {"batch_size": {"choice": [128]}, "augment": "flip"}, confirm=confirm, **shared)
    lowered = {"metric": "val_loss", "mode": "min"}
    search("lowered", {"batch_size": {"choice": [64]}}, objective=lowered, confirm=None, **shared)
    search("broken", {"batch_size": {"choice": [64]}}, frozenset(range(3)), confirm=None, **shared)
    return address


@pytest.fixture(scope="module")
def both(uri: str) -> list[Contender]:
    return contenders.find(["plain", "flipped"], uri)[0]


def contender(
    name: str, values: dict[int, float], test: dict[int, float] | None = None, *, whole: bool = True, **changes: object
) -> Contender:
    """A contender with the given last validation and test accuracy of each seed, without MLflow."""
    ids = [f"{name}-{seed}" for seed in values]
    runs = pd.DataFrame(
        {
            "run_id": ids, "seed": list(values), "epochs": 2, "number": 0, "outcome": "completed", "phase": "confirm",
            "params.model": "lenet", "params.lr": 0.01, "metrics.val_accuracy": list(values.values()),
            "metrics.test_accuracy": [(test or {}).get(seed, math.nan) for seed in values],
        }
    )  # fmt: skip
    curves = pd.DataFrame(
        [
            {
                "run_id": id, "epoch": epoch, "val_accuracy": value * epoch / 2, "epoch_seconds": 10.0 * epoch,
                "images_per_second": 100.0 * epoch, "peak_memory_mb": 50.0 * epoch,
            }
            for id, value in zip(ids, values.values(), strict=True)
            for epoch in (1, 2)
        ]
    )  # fmt: skip
    data = {"title": "digits", "validation": 0.1, "split_seed": 0} | changes
    trials = runs.iloc[:1].assign(phase="search", started=0.0, seconds=5.0)
    record = Record(
        parent=SimpleNamespace(data=SimpleNamespace(tags={FINGERPRINT: changes.get("fingerprint", "f00")})),
        experiment=name, description={"objective": {"metric": "val_accuracy", "maximize": True}, "data": data},
        spec="", trials=trials, confirmations=runs, curves=curves, tracking_uri="",
        artifact=lambda run, path: Path(),
    )  # fmt: skip
    return Contender(name, record, runs.assign(**changes.get("settings", {})), "made", whole)


A = contender("a", {1000: 0.5, 1001: 0.6, 1002: 0.7}, {1000: 0.4, 1001: 0.5, 1002: 0.6})
B = contender("b", {1000: 0.6, 1001: 0.8, 1002: 0.7}, {1000: 0.5, 1001: 0.6, 1002: 0.7})
ONE = contender("one", {0: 0.9}, whole=False)


def test_a_search_is_compared_by_its_confirmed_runs(both: list[Contender]):
    plain, flipped = both
    assert plain.values("val_accuracy").index.tolist() == [1000, 1001, 1002]
    assert flipped.values("test_accuracy").tolist() == pytest.approx((flipped.values("val_accuracy") - 0.01).tolist())
    assert flipped.how.endswith(", 3 fresh seeds")


def test_the_difference_of_two_searches_is_that_of_the_formula(both: list[Contender]):
    frame = tables.differences(both, "val_accuracy", True)
    assert frame[["a", "against", "measure"]].to_numpy().tolist() == [
        ["flipped", "plain", "val_accuracy"],
        ["flipped", "plain", "test_accuracy"],
    ]
    plain, flipped = both
    pairs = zip(flipped.runs["metrics.val_accuracy"], plain.runs["metrics.val_accuracy"], strict=True)
    assert frame["difference"].tolist() == pytest.approx([np.mean([a - b for a, b in pairs])] * 2)
    # 96 images a batch more make it 0.6 * 0.0005 * 96 * (1 - 0.6 exp(-3 / 2)) worse, noise of 0.01 a run aside.
    assert frame["difference"][0] == pytest.approx(-0.02494, abs=0.025)
    assert frame["n"].tolist() == ["3 pairs of runs with the same seed"] * 2


def test_only_settings_that_differ_are_shown(both: list[Contender]):
    frame = tables.settings(both).set_index("setting")
    assert frame.loc["augment"].to_dict() == {"plain": "none", "flipped": "flip"}
    assert frame.loc["batch_size", "flipped"] == 128
    assert set(frame.index) == {"augment", "batch_size"}


def test_a_setting_that_one_lacks():
    sgd = contender("sgd", {0: 0.5}, settings={"params.momentum": 0.9, "params.lr": "0.01"})
    frame = tables.settings([A, sgd])
    assert frame.to_numpy().tolist() == [["momentum", "not set", 0.9]]


def test_the_overview_by_hand():
    row = tables.overview([A, B, ONE], "val_accuracy").set_index("contender").loc["a"]
    assert row["val_accuracy_mean"] == pytest.approx(0.6)
    assert row["val_accuracy_sd"] == pytest.approx(0.1)
    assert row["test_accuracy_mean"] == pytest.approx(0.5)
    assert (row["n"], row["epochs"], row["train_seconds"]) == (3, 2, 30)
    assert (row["images_per_second"], row["peak_memory_mb"]) == (150, 100)


def test_the_overview_as_it_is_read():
    shown = tables.shown(tables.overview([A, ONE], "val_accuracy"), "val_accuracy")
    assert shown["validation accuracy"].tolist() == ["60.00 ± 10.00 %", "90.00 %"]
    assert shown["test accuracy"].tolist() == ["50.00 ± 10.00 %", "none"]


def test_differences_by_hand():
    frame = tables.differences([A, B, ONE], "val_accuracy", True)
    assert frame[["a", "against", "measure"]].agg(" ".join, axis=1).tolist() == [
        "b a val_accuracy", "one a val_accuracy", "one b val_accuracy", "b a test_accuracy",
    ]  # fmt: skip
    assert frame["difference"].tolist() == pytest.approx([0.1, 0.3, 0.2, 0.1])
    # 0.1, 0.2 and 0.0: standard deviation 0.1; Student's t of two degrees of freedom is 4.303.
    assert frame.loc[0, ["t_low", "t_high"]].tolist() == pytest.approx([0.1 - 0.2484, 0.1 + 0.2484], abs=1e-4)
    assert frame.loc[0, ["bootstrap_low", "bootstrap_high"]].tolist() == pytest.approx([0, 0.2])
    assert frame["t_low"].isna().tolist() == [False, True, True, False]
    shown = tables.shown_differences(frame)
    assert shown.loc[0, ["difference", "95 % t interval"]].tolist() == ["+10.00", "-14.84 to +34.84"]
    assert shown.loc[1, "95 % t interval"] == "none"


def test_of_many_each_is_compared_with_the_first():
    many = [contender(name, {0: 0.5, 1: 0.6}) for name in "vwxyz"]
    assert len(tables.differences(many[:4], "val_accuracy", True)) == 6
    frame = tables.differences(many, "val_accuracy", True)
    assert frame[["a", "against"]].to_numpy().tolist() == [[name, "v"] for name in "wxyz"]


def test_other_data_is_loud_and_has_no_verdict():
    other = contender("other", {1000: 0.1, 1001: 0.1, 1002: 0.2}, title="svhn", fingerprint="ba5")
    [warning] = tables.warnings([A, other])
    assert warning.startswith("NOT THE SAME DATA (digits, fingerprint f00: a; svhn, fingerprint ba5: other)")
    assert tables.differences([A, other], "val_accuracy", True)["verdict"][0].startswith("not comparable")
    assert sections([A, other])[0].items[0] == page.Prose(warning)


def test_another_validation_leaves_the_test_comparable():
    other = contender("other", {1000: 0.1, 1001: 0.2}, {1000: 0.1, 1001: 0.15}, split_seed=1)
    [warning] = tables.warnings([A, other])
    assert warning.startswith("NOT VALIDATED ON THE SAME IMAGES (0.1, split seed 0: a; 0.1, split seed 1: other)")
    verdicts = tables.differences([A, other], "val_accuracy", True)["verdict"]
    assert verdicts[0] == "not comparable, validated on other images"
    assert not verdicts[1].startswith("not comparable")


def test_what_was_selected_on_the_test_set_is_said():
    warnings = tables.warnings([contender(name, {0: 0.5}, validation="test") for name in "ab"])
    assert any(warning.startswith("SELECTED ON THE TEST SET: a, b") for warning in warnings)


def test_equals_need_no_warning():
    assert tables.warnings([A, B]) == []


def test_curves_have_a_band_over_seeds_up_to_the_shortest_run():
    curves = A.record.curves
    longer = pd.DataFrame([{"run_id": "a-1000", "epoch": 3, "val_accuracy": 1.0}])
    longest = replace(A, record=replace(A.record, curves=pd.concat([curves, longer])))
    frame = lines.prepare_curves([longest, ONE], "val_accuracy")
    assert frame[["contender", "epoch", "n"]].to_numpy().tolist() == [
        ["a", 1, 3], ["a", 2, 3], ["one", 1, 1], ["one", 2, 1],
    ]  # fmt: skip
    assert frame.loc[1, ["mean", "low", "high"]].tolist() == pytest.approx([0.6, 0.5, 0.7])


def test_the_best_so_far_of_searches_alone(uri: str):
    found, _ = contenders.find(["plain", "lowered", "plain/trial-0002"], uri)
    frame = lines.prepare_best(found, "val_accuracy", True)
    assert frame["contender"].unique().tolist() == ["plain", "lowered"]
    for _, own in frame.groupby("contender"):
        assert own["best"].tolist() == own["value"].cummax().tolist()
    with pytest.raises(Missing, match="no search"):
        lines.prepare_best([ONE], "val_accuracy", True)


def test_time_stands_against_the_test_accuracy_where_all_have_it():
    frame = points.prepare_cost([A, B], "val_accuracy")
    assert frame["measure"].unique().tolist() == ["test_accuracy"]
    assert frame["mean"].tolist() == pytest.approx([0.5, 0.6])
    assert frame["train_seconds"].tolist() == [30, 30]
    frame = points.prepare_cost([A, ONE], "val_accuracy")
    assert frame["measure"].unique().tolist() == ["val_accuracy"]
    assert frame["mean"].tolist() == pytest.approx([0.6, 0.9])


def test_the_figure_of_differences_is_in_percentage_points():
    frame = tables.differences([A, B], "val_accuracy", True)
    numbers = points.prepare_differences(frame, "test_accuracy")
    assert numbers[["difference", "bootstrap_low", "bootstrap_high"]].to_numpy().ravel() == pytest.approx([10, 10, 10])
    drawn = points.draw_differences(points.prepare_differences(frame, "val_accuracy"))
    t, bootstrap, means = drawn.data
    assert bootstrap.x[:2] == pytest.approx((0, 20))
    assert t.x[:2] == pytest.approx((-14.84, 34.84), abs=0.01)
    assert means.x == pytest.approx((10,))
    with pytest.raises(Missing):
        points.prepare_differences(frame, "val_loss")


def test_different_objectives_are_compared_by_accuracy(uri: str):
    found, _ = contenders.find(["plain", "lowered"], uri)
    metric, maximize, why = contenders.objective(found)
    assert (metric, maximize) == ("val_accuracy", True)
    assert why == (
        "The searches had different objectives (val_accuracy raised: plain; val_loss lowered: lowered): they are "
        "compared by val_accuracy."
    )
    without = replace(found[1], runs=found[1].runs.drop(columns="metrics.val_accuracy"))
    with pytest.raises(AnalysisError, match="val_accuracy, which is not in the record of lowered"):
        contenders.objective([found[0], without])


def test_an_objective_that_all_share_is_kept(uri: str):
    found, _ = contenders.find(["lowered/trial-0000", "lowered/trial-0001"], uri)
    assert contenders.objective(found) == ("val_loss", False, "")


def test_a_run_by_its_id_and_by_its_name(uri: str, both: list[Contender]):
    row = both[0].record.trials.iloc[1]
    by_id, by_name = (
        contenders.find([name, "flipped"], uri)[0][0] for name in (row["run_id"], f"plain/{row['trial']}")
    )
    assert by_id.runs["run_id"].tolist() == by_name.runs["run_id"].tolist() == [row["run_id"]]
    assert by_id.name == f"{both[0].record.id}/{row['trial']}"
    assert not by_id.whole


def test_a_contender_without_a_result_is_left_out(uri: str):
    found, left_out = contenders.find(["plain", "broken", "flipped", "broken/trial-0001"], uri)
    assert [c.name for c in found] == ["plain", "flipped"]
    assert left_out[0] == "broken is left out: No trial has finished yet."
    assert left_out[1].startswith("broken/trial-0001 is left out: it has no result, it is failed (RuntimeError")
    assert page.Prose(left_out[0]) in sections(found, left_out)[0].items


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["plain"], ["two or more different"]),
        (["plain", "plain"], ["two or more different"]),
        (["plain", "flipped", "plain"], ["plain is given twice"]),
        (["plain", "broken"], ["broken is left out", "two or more searches or runs with a result"]),
        (
            ["plian", "flipped/trial-9999", "f" * 32, "flipped"],
            ["did you mean plain", "no run 'trial-9999': did you mean", f"no run {'f' * 32}"],
        ),
    ],
)
def test_mistakes_are_told_all_at_once(uri: str, tmp_path: Path, capsys, names, said):
    assert compare.main([*names, "--tracking-uri", uri, "--out", str(tmp_path / "page"), "--no-png"]) == 2
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert part in line
    assert printed.out == ""
    assert not (tmp_path / "page").exists()


def test_one_search_under_two_names_is_told(uri: str, both: list[Contender], capsys):
    assert compare.main(["plain", both[0].record.id, "--tracking-uri", uri]) == 2
    assert "are the same runs" in capsys.readouterr().err


def test_the_run_of_another_program_is_told(uri: str, capsys):
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment("someone's")).info.run_id
    assert compare.main([run, "plain", "--tracking-uri", uri]) == 2
    assert "of another program" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "sqlite:///{}/none.db", "sqlite:///{}/text.db", "what://x"])
def test_a_record_that_is_not_there_is_told_once(tmp_path: Path, capsys, address):
    (tmp_path / "text.db").write_text("no database at all, " * 100)
    assert compare.main(["a", "b", "--tracking-uri", address.format(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_page_with_its_numbers(uri: str, tmp_path: Path, capsys):
    names = ["plain", "flipped", "lowered", "plain/trial-0002"]
    assert compare.main([*names, "--tracking-uri", uri, "--out", str(tmp_path), "--no-png"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "index.html"
    text = path.read_text()
    assert "compared by val_accuracy" in text
    assert "Not confirmed: lowered" in text
    made_files = {file.name for file in (tmp_path / "csv").iterdir()}
    assert made_files == {
        "contenders.csv", "settings.csv", "differences.csv", "differences_val_accuracy.csv",
        "differences_test_accuracy.csv", "curves.csv", "cost.csv", "best_so_far.csv",
    }  # fmt: skip
    assert pd.read_csv(tmp_path / "csv" / "contenders.csv")["contender"].tolist() == names


def test_a_place_that_cannot_be_written_to_is_told(uri: str, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "page"
    assert compare.main(["plain", "flipped", "--tracking-uri", uri, "--out", str(out), "--no-png"]) == 2
    assert f"error: cannot write to {out}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["lenet", "resnet18"], "compare-lenet-resnet18"),
        (["lenet/trial-0003", "../../etc/x y"], "compare-lenet-trial-0003-..-..-etc-x-y"),
        (["<b>", "ü"], "compare--b---"),
    ],
)
def test_a_folder_is_named_by_the_contenders(names, folder):
    assert compare.safe(names) == folder


def test_long_names_are_cut_and_stay_apart():
    first, second = compare.safe(["x" * 300, "a"]), compare.safe(["x" * 300, "b"])
    assert first != second
    assert max(len(first), len(second)) <= 100
