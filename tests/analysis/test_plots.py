"""The numbers behind the figures, worked out by hand; and what every plot must do."""

import math
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pandas as pd
import plotly.graph_objects as go
import pytest
from by_hand import record, trial

from analysis import report_page
from analysis.errors import Missing
from analysis.plots import best_curves, best_so_far, cost, learning_curves, pareto, train_fraction
from analysis.testing import BadPlot, check_plot

LR = {"key": "lr", "low": 1e-4, "high": 1e-1, "log": True, "integer": False}
PLOTS = [module for module in report_page.plots() if module.SECTION != "predictions"]
NAMES = [module.__name__.rpartition(".")[2] for module in PLOTS]


@pytest.mark.parametrize("module", PLOTS, ids=NAMES)
def test_a_plot_draws_a_search_and_says_what_it_shows(module, made_record):
    reason = check_plot(module, made_record)
    if module is train_fraction:
        assert "search over it" in reason
    else:
        assert not reason


@pytest.mark.parametrize("module", PLOTS, ids=NAMES)
@pytest.mark.parametrize(
    "trials",
    [
        [trial([], "running", lr=0.1)], [trial([], "failed", lr=0.1)], [trial([math.nan], "diverged", lr=0.1)],
        [trial([0.5, 0.6], lr=0.01)], [trial([0.5], lr=0.01)] * 2,
    ],
    ids=["running", "failed", "diverged", "single", "equal"],
)  # fmt: skip
def test_with_little_data_a_plot_is_drawn_or_refused_in_words(module, trials):
    check_plot(module, record(trials, [LR]))


def plot(**changes: object) -> ModuleType:
    """A plot as the report expects it, with some parts replaced."""
    text = "Two trials, of which the first reached 0.5000."
    parts = {
        "TITLE": "Mine", "SECTION": "curves", "prepare": lambda record: pd.DataFrame({"x": [1]}),
        "draw": lambda frame, record: go.Figure(go.Scatter(x=frame["x"])).update_layout(height=90),
        "describe": lambda frame, record: text,
    }  # fmt: skip
    return SimpleNamespace(__name__="mine", **{**parts, **changes})


def refuse(record):
    raise Missing("no full stop")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"TITLE": ""}, "TITLE is empty"),
        ({"SECTION": "elsewhere"}, "SECTION is 'elsewhere', not one of searched, won"),
        ({"prepare": refuse}, "no sentence with a full stop"),
        ({"draw": lambda frame, record: None}, "gave NoneType, not a plotly Figure"),
        ({"draw": lambda frame, record: go.Figure()}, "empty figure"),
        ({"draw": lambda frame, record: go.Figure(go.Scatter(x=[1]))}, "no height"),
        ({"describe": lambda frame, record: "short."}, "say in whole sentences"),
        ({"describe": lambda frame, record: "The value of the best trial of this search is nan."}, "not a number"),
    ],
)
def test_the_check_of_a_plot_names_what_is_wrong(changes, problem):
    found = record([trial([0.5], lr=0.01)], [LR])
    assert check_plot(plot(), found) == ""
    with pytest.raises(BadPlot, match=f"mine: .*{problem}"):
        check_plot(plot(**changes), found)


def test_the_best_so_far_rises_in_the_order_in_which_trials_ended():
    found = record([trial([0.5]), trial([0.4]), trial([0.1, 0.8]), trial([0.6], "stopped"), trial([], "failed")])
    frame = best_so_far.prepare(found)
    assert frame["number"].tolist() == [0, 1, 2, 3]
    assert frame["best"].tolist() == [0.5, 0.5, 0.8, 0.8]
    assert frame["minutes"].tolist() == pytest.approx([2 / 60, 60 + 2 / 60, 120 + 4 / 60, 180 + 2 / 60])
    said = best_so_far.describe(frame, found)
    assert "trial 2 with validation accuracy 0.8000, was number 3 to finish, 2 h 00 min after the start." in said


def test_the_best_so_far_of_a_loss_falls():
    frame = best_so_far.prepare(record([trial([0.5]), trial([0.7]), trial([0.2])], maximize=False))
    assert frame["best"].tolist() == [0.5, 0.5, 0.2]


def test_learning_curves_have_every_finite_epoch_and_the_rungs():
    trials = [trial([0.1, 0.2, 0.3], lr=0.1), trial([0.4], "stopped", lr=0.01), trial([math.nan], "diverged", lr=1.0)]
    found = record(trials, [LR], rungs=[1, 3, 9])
    frame = learning_curves.prepare(found)
    assert frame.to_dict("list") == {
        "number": [0, 0, 0, 1], "epoch": [1, 2, 3, 1], "value": [0.1, 0.2, 0.3, 0.4],
        "outcome": ["completed"] * 3 + ["stopped"],
    }  # fmt: skip
    figure = learning_curves.draw(frame, found)
    assert [shape.x0 for shape in figure.layout.shapes] == [1, 3], "rungs that were reached"
    assert [trace.opacity for trace in figure.data] == [0.9, 0.35]


def test_lines_can_be_coloured_by_every_setting_the_result_and_the_outcome():
    space = [LR, {"key": "optimizer", "choices": ["sgd", "adam"]}, {"key": "momentum", "low": 0, "high": 1}]
    found = record([
        trial([0.1], lr=1e-4, optimizer="sgd", momentum=0.9), trial([0.2], lr=1e-2, optimizer="adam"),
        trial([0.3], lr=1e-3, optimizer="adam"),
    ], space)  # fmt: skip
    choices = {c["name"]: c for c in learning_curves.data(learning_curves.prepare(found), found)["colours"]}
    assert set(choices) == {"lr", "optimizer", "momentum", "validation accuracy", "outcome"}
    low, high, middle = choices["lr"]["colours"]
    assert [low, middle, high] == [choices["lr"]["legend"][i][0] for i in (0, 2, 4)], "half way on a log scale"
    assert [text for _, text in choices["lr"]["legend"]][::2] == ["0.0001", "0.001", "0.01"]
    sgd, adam, also_adam = choices["optimizer"]["colours"]
    assert sgd != adam == also_adam
    assert [text for _, text in choices["optimizer"]["legend"]] == ["sgd", "adam"]
    assert choices["momentum"]["legend"][-1][1] == "not set"
    assert choices["momentum"]["colours"][1] == choices["momentum"]["legend"][-1][0]


def test_the_winners_curves_are_those_of_its_confirmed_runs():
    runs = [{**trial([0.1, 0.5]), "number": 0, "seed": s} for s in (1000, 1001)]
    frame = best_curves.prepare(record([trial([0.9])], confirmations=runs))
    assert frame[["seed", "epoch", "value"]].to_numpy().tolist() == [
        [1000, 1, 0.1], [1000, 2, 0.5], [1001, 1, 0.1], [1001, 2, 0.5],
    ]  # fmt: skip
    assert set(frame["metric"]) == {"val_accuracy"}


def test_cost_is_grouped_by_what_varied():
    found = record([trial([0.1] * 3, batch_size=b, model=m) for b, m in ((32, "lenet"), (32, "lenet"), (64, "mlp"))])
    frame = cost.prepare(found)
    assert dict(zip(frame["group"], frame["n"], strict=True)) == {
        "model lenet, batch_size 32": 2, "model mlp, batch_size 64": 1,
    }  # fmt: skip
    assert frame["epoch_seconds"].tolist() == [2.0, 2.0]


def test_many_batch_sizes_are_put_into_ranges():
    found = record([trial([0.1], batch_size=b) for b in range(1, 101)])
    frame = cost.prepare(found)
    assert len(frame) == 4
    assert frame["n"].tolist() == [25] * 4


def test_the_median_epoch_of_a_trial_counts():
    found = record([trial([0.1] * 3, batch_size=32)])
    slow = found.curves.assign(epoch_seconds=[1.0, 5.0, 1.0], images_per_second=[10.0, 30.0, 20.0])
    frame = cost.prepare(replace(found, curves=slow))
    assert frame[["epoch_seconds", "images_per_second"]].to_numpy().tolist() == [[1.0, 20.0]]


def test_the_front_holds_what_nothing_beats_in_time_and_value():
    found = record(
        [trial([0.5]), trial([0.3]), trial([0, 0.4]), trial([0, 0, 0.9]), trial([0, 0, 0.7]), trial([0] * 4 + [0.9])]
    )
    frame = pareto.prepare(found)
    assert frame.set_index("number")["seconds"].to_dict() == {0: 2, 1: 2, 2: 4, 3: 6, 4: 6, 5: 10}
    assert frame.loc[frame["front"], "number"].tolist() == [0, 3]


def test_the_front_of_a_loss_is_the_lower_one():
    frame = pareto.prepare(record([trial([0.5]), trial([0.7]), trial([1, 0.4])], maximize=False))
    assert frame.loc[frame["front"], "number"].tolist() == [0, 2]


def test_train_fractions_have_means_over_their_completed_trials():
    found = record([
        trial([0.2], train_fraction=0.1), trial([0.4], train_fraction=0.1), trial([0.9], train_fraction=1.0),
        trial([0.1], "stopped", train_fraction=1.0),
    ])  # fmt: skip
    frame = train_fraction.prepare(found)
    assert frame[["fraction", "value", "n"]].to_numpy().tolist() == [[0.1, 0.2, 2], [0.1, 0.4, 2], [1.0, 0.9, 1]]
    assert frame["mean"].tolist() == pytest.approx([0.3, 0.3, 0.9])
    assert frame["sd"].iloc[0] == pytest.approx(0.2 / math.sqrt(2))
    assert "0.3000 (n = 2) with 10 %" in train_fraction.describe(frame, found)


def test_one_train_fraction_alone_is_no_curve():
    with pytest.raises(Missing, match="train_fraction 1"):
        train_fraction.prepare(record([trial([0.2]), trial([0.3])]))
