"""Which settings mattered and how they interact: numbers worked out by hand, or made to have one answer."""

import math
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from by_hand import record, trial

import analysis.record
from analysis import importance, scales, stills
from analysis.errors import Missing
from analysis.plots import contour, marginals, parallel
from analysis.plots import importance as importance_plot
from analysis.record import Record
from analysis.setting import Setting

LR = {"key": "lr", "low": 1e-4, "high": 1e-1, "log": True}
DECAY = {"key": "weight_decay", "low": 0.0, "high": 1.0}
OPTIMIZER = {"key": "optimizer", "choices": ["sgd", "adam"]}
MOMENTUM = {"key": "momentum", "low": 0.5, "high": 0.99, "when": {"optimizer": ["sgd"]}}
BATCH = {"key": "batch_size", "choices": [128, 32, 64]}


def drawn(value, n: int = 80, space=(DECAY, OPTIMIZER, LR), **changes) -> Record:
    """n trials of random settings; `value` makes the objective of them and a generator."""
    rng = np.random.default_rng(1)
    trials = []
    for _ in range(n):
        params = {
            "lr": 10 ** rng.uniform(-4, -1), "weight_decay": rng.uniform(),
            "optimizer": str(rng.choice(["sgd", "adam"])), "batch_size": int(rng.choice([32, 64, 128])),
        }  # fmt: skip
        if params["optimizer"] == "sgd":
            params["momentum"] = rng.uniform(0.5, 0.99)
        trials.append(trial([value(params, rng)], **params))
    return record(trials, space, **changes)


def by_lr(params, rng) -> float:
    """Best at 0.01, by lr alone."""
    return 1 - abs(math.log10(params["lr"]) + 2)


# Importance


def test_what_alone_decides_is_the_most_important_beyond_doubt():
    found = drawn(by_lr)
    frame = importance.importances(found).set_index("setting")
    assert list(frame.columns) == ["importance", "low", "high", "chance", "n"]
    assert frame.index[0] == "lr"
    assert frame["importance"].sum() == pytest.approx(1)
    assert frame["importance"].is_monotonic_decreasing
    assert frame["low"]["lr"] > frame["high"].drop("lr").max()
    assert frame["importance"]["lr"] > frame["chance"]["lr"]
    assert (frame["low"] <= frame["importance"]).all()
    assert (frame["importance"] <= frame["high"]).all()
    assert (frame["low"] < frame["high"]).all()
    text = importance_plot.describe(frame.reset_index(), found)
    assert "among the best 8 of 80 after epoch 1" in text
    assert "The interval of lr lies above all others." in text


def test_importance_is_of_the_good_end_not_of_the_bad_one():
    def value(params, rng):
        return (params["weight_decay"] > 0.85) - (params["lr"] < 2e-4) + 0.01 * rng.random()

    assert importance.importances(drawn(value))["setting"][0] == "weight_decay"
    assert importance.importances(drawn(value, maximize=False))["setting"][0] == "lr"


def test_chance_is_told_where_nothing_matters():
    found = drawn(lambda params, rng: rng.random())
    frame = importance.importances(found)
    assert (frame["importance"] <= frame["chance"]).all()
    assert "No more than chance alone can reach: " + ", ".join(frame["setting"]) in importance_plot.describe(
        frame, found
    )


def test_equal_records_have_equal_importances():
    pd.testing.assert_frame_equal(importance.importances(drawn(by_lr)), importance.importances(drawn(by_lr)))


def test_a_conditional_setting_counts_over_the_trials_that_have_it():
    def value(params, rng):
        return params.get("momentum", 0.7) + 0.001 * rng.random()

    frame = importance.importances(drawn(value, space=(LR, OPTIMIZER, MOMENTUM)))
    assert frame["setting"][0] == "momentum"
    with_it = drawn(value).trials["params.momentum"].notna().sum()
    assert frame.set_index("setting")["n"].to_dict() == {"momentum": with_it, "lr": 80, "optimizer": 80}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (drawn(by_lr, 19), "Trials that reached epoch 1: 19. It takes 20 to tell which settings mattered"),
        (drawn(by_lr, space=(LR,)), "Only lr was varied"),
        (drawn(by_lr, space=(LR, {"key": "model", "choices": ["lenet", "mlp"]})), "Only lr was varied"),
        (drawn(by_lr, space=()), "No setting was varied"),
        (drawn(lambda params, rng: 0.5), "All 80 trials have the same val_accuracy after epoch 1"),
        (record([trial([], "running", lr=0.1)], [LR]), "No trial has finished an epoch yet"),
    ],
)
def test_importance_says_why_it_is_missing(found, reason):
    with pytest.raises(Missing, match=reason):
        importance_plot.prepare(found)


def test_the_most_important_come_first_else_the_specs_order():
    assert [s.key for s in importance.most_important(drawn(by_lr), 1)] == ["lr"]
    assert len(importance.most_important(drawn(by_lr), 9)) == 3
    assert [s.key for s in importance.most_important(drawn(by_lr, 19), 2)] == ["weight_decay", "optimizer"]


def test_overlapping_intervals_leave_the_order_open():
    rows = [("lr", 0.6, 0.3, 0.8), ("momentum", 0.3, 0.1, 0.4), ("optimizer", 0.1, 0.0, 0.2)]
    frame = pd.DataFrame(rows, columns=["setting", "importance", "low", "high"]).assign(chance=0.05, n=80)
    text = importance_plot.describe(frame, drawn(by_lr))
    assert "lr 0.60 (0.30 to 0.80), momentum 0.30 (0.10 to 0.40), optimizer 0.10 (0.00 to 0.20)" in text
    assert "The interval of lr overlaps that of momentum: their order is not certain." in text
    assert "chance" not in text


# Where trials stand


@pytest.mark.parametrize(
    ("choices", "logged", "places"),
    [
        ([True, False, None], ["None", "True", "False"], [2, 0, 1]),
        (["sgd", "adam"], ["adam", "sgd", "adam"], [1, 0, 1]),
        ([128, 32], [32, 128, 32], [0, 1, 0]),
        ([0.5, 1], [1.0, 0.5, 1.0], [1, 0, 1]),
        (["1", "2"], [2, 1, 2], [1, 0, 1]),
        ([1, "auto"], ["auto", "1", "auto"], [1, 0, 1]),
        ([1e-5, None], ["1e-05", "None", "None"], [0, 1, 1]),
    ],
)
def test_choices_come_back_from_what_mlflow_kept(choices, logged, places):
    found = record([trial([0.1 * i], x=value) for i, value in enumerate(logged)], [{"key": "x", "choices": choices}])
    assert scales.positions(found)["params.x"].tolist() == places


def test_a_default_where_the_condition_is_not_met_is_no_value():
    space = [
        {"key": "schedule", "choices": ["step", "cosine"]},
        {"key": "decay", "choices": ["often", "seldom"], "when": {"schedule": ["step"]}},
        {"key": "interval", "low": 2, "high": 9, "integer": True, "when": {"decay": ["often"]}},
    ]
    found = scales.positions(record([
        trial([0.1], schedule="step", decay="often", interval=3),
        trial([0.2], schedule="step", decay="often", interval=9),
        trial([0.3], schedule="step", decay="seldom", interval=1),
        trial([0.4], schedule="cosine", decay="often", interval=1),
    ], space))  # fmt: skip
    assert found["params.decay"].dropna().tolist() == [0, 0, 1]
    assert found["params.interval"].dropna().to_dict() == {0: 3, 1: 9}


def test_trials_are_compared_after_the_same_epoch_and_diverged_ones_are_the_worst():
    good = [trial([0.5, 0.1], lr=1e-3 + i / 1e5) for i in range(19)]
    ends = [trial([math.nan], "diverged", lr=0.1), trial([0.3], "stopped", lr=0.01)]
    found = scales.positions(record(good + ends, [LR], rungs=[1]))
    assert found["value"].tolist() == [0.5] * 19 + [0.3, 0.3]


# Effects


def test_medians_of_choices_and_of_few_whole_numbers_are_one_a_value():
    values = [(1, "a", 2), (5, "a", 2), (9, "a", 3), (2, "b", 3), (4, "b", 3)]
    space = [{"key": "x", "choices": ["a", "b"]}, {"key": "n", "low": 2, "high": 4, "integer": True}]
    found = record([trial([v], x=x, n=n) for v, x, n in values], space)
    medians = marginals.prepare(found).query("kind == 'median'")
    assert medians[["setting", "label", "value", "n"]].to_numpy().tolist() == [
        ["x", "a", 5, 3], ["x", "b", 3, 2], ["n", "2", 3, 2], ["n", "3", 4, 3],
    ]  # fmt: skip
    text = marginals.describe(marginals.prepare(found), found)
    assert "x 5.0000 at a (n = 3) and 3.0000 at b (n = 2); n 4.0000 at 3 (n = 3) and 3.0000 at 2 (n = 2)" in text


def test_medians_of_a_range_are_of_equally_many_trials():
    found = record([trial([i], weight_decay=(i / 16) ** 2) for i in range(16, 0, -1)], [DECAY])
    medians = marginals.prepare(found).query("kind == 'median'")
    assert medians[["value", "n"]].to_numpy().tolist() == [[4.5, 8], [12.5, 8]]
    assert medians["x"].tolist() == pytest.approx([(16 + 25) / 2 / 256, (144 + 169) / 2 / 256])
    few = record([trial([i], weight_decay=i / 16) for i in range(15)], [DECAY])
    assert set(marginals.prepare(few)["kind"]) == {"trial"}


def test_an_effect_has_the_trials_with_the_setting_each_with_its_number():
    found = drawn(by_lr, space=(LR, OPTIMIZER, MOMENTUM))
    frame = marginals.prepare(found).query("kind == 'trial'")
    sgd = found.trials[found.trials["params.optimizer"] == "sgd"]
    mine = frame[frame["setting"] == "momentum"]
    assert mine["number"].tolist() == sgd["number"].tolist()
    assert mine["x"].tolist() == sgd["params.momentum"].tolist()
    assert mine["value"].tolist() == sgd["metrics.val_accuracy"].tolist()
    assert frame["setting"].value_counts().to_dict() == {"lr": 80, "optimizer": 80, "momentum": len(sgd)}


def test_of_many_settings_the_most_important_are_shown():
    names = [f"s{i}" for i in range(14)]
    space = [{"key": name, "low": 0, "high": 1} for name in names]
    rng = np.random.default_rng(0)
    found = record(
        [trial([p["s13"]], **p) for p in (dict(zip(names, rng.random(14), strict=True)) for _ in range(30))], space
    )
    for module, shown in ((marginals, 12), (parallel, 10)):
        text = module.describe(module.prepare(found), found)
        assert f"The {shown} most important settings are shown, {14 - shown} are not." in text
    assert marginals.prepare(found)["setting"].unique()[0] == "s13"
    assert list(parallel.prepare(found).columns[-2:]) == ["s13", "value"]
    assert len(parallel.draw(parallel.prepare(found), found).data[0].dimensions) == 11


def test_panels_have_log_axes_and_points_strewn_the_same_way_each_time():
    found = drawn(by_lr)
    frame = marginals.prepare(found)
    figure = marginals.draw(frame, found)
    titles = [title.text for title in figure.layout.annotations]
    axes = dict(zip(titles, figure.select_xaxes(), strict=False))
    assert (axes["lr"].type, axes["weight_decay"].type) == ("log", "linear")
    assert axes["lr"].ticktext == ("1e-4", "1e-3", "0.01", "0.1")
    assert axes["optimizer"].ticktext == ("sgd", "adam")
    assert figure.to_json() == marginals.draw(frame, found).to_json()
    strips = [trace for trace in figure.data if trace.mode == "markers"][
        frame["setting"].unique().tolist().index("optimizer")
    ]
    places = frame.query("kind == 'trial' and setting == 'optimizer'")["x"]
    assert 0 < np.abs(strips.x - places).max() <= scales.JITTER


@pytest.mark.parametrize(("maximize", "symbol", "edge"), [(True, "triangle-down", 5), (False, "triangle-up", 24)])
def test_a_value_far_out_on_the_bad_side_does_not_squeeze_the_rest(maximize, symbol, edge):
    # 20 values 10 to 19 and one of 1e6: quartiles 12 and 17.
    values = [10, *range(10, 20), *range(10, 20)]
    values[0] = -1000 if maximize else 1000
    found = record([trial([v], weight_decay=i / 21) for i, v in enumerate(values)], [DECAY], maximize=maximize)
    low, high = scales.fence(pd.Series(values), maximize)
    assert (low, high) == ((12 - 15, 19) if maximize else (10, 17 + 15))
    frame = marginals.prepare(found)
    figure = marginals.draw(frame, found)
    assert figure.data[0].marker.symbol[0] == symbol
    assert figure.data[0].y[0] == (low if maximize else high)
    assert set(figure.data[0].marker.symbol[1:]) == {"circle"}
    assert "Beyond the poor end of the axis, and drawn as triangles at its edge: 1." in marginals.describe(frame, found)
    assert frame["value"].iloc[0] == values[0], "the numbers are whole"


# Axes


@pytest.mark.parametrize(
    ("entry", "texts"),
    [
        ({"low": 1e-4, "high": 1e-1, "log": True}, ["1e-4", "1e-3", "0.01", "0.1"]),
        ({"low": 3e-5, "high": 2.0, "log": True}, ["1e-4", "1e-3", "0.01", "0.1", "1"]),
        ({"low": 16, "high": 512, "log": True, "integer": True}, ["20", "50", "100", "200", "500"]),
        ({"low": 0.011, "high": 0.019, "log": True}, ["0.011", "0.019"]),
        ({"low": 2, "high": 10, "integer": True}, ["2", "4", "6", "8", "10"]),
        ({"low": 1, "high": 3, "integer": True}, ["1", "2", "3"]),
        ({"low": 0.5, "high": 0.99}, ["0.5", "0.6", "0.7", "0.8", "0.9"]),
        ({"low": -1.0, "high": 1.0}, ["-1", "-0.5", "0", "0.5", "1"]),
        ({"low": 0.0, "high": 0.003}, ["0", "5e-4", "1e-3", "1.5e-3", "2e-3", "2.5e-3", "3e-3"]),
        ({"choices": (64, 8, 32)}, ["8", "32", "64"]),
        ({"choices": (True, None, "b")}, ["True", "None", "b"]),
    ],
)
def test_marks_are_round_and_plain(entry, texts):
    assert scales.ticks(Setting(key="x", when={}, **entry))[1] == texts


# Parallel coordinates


def test_lines_pass_the_settings_on_their_scales_and_the_objective_last():
    found = record([
        trial([0.5], lr=1e-2, optimizer="adam", weight_decay=0.25),
        trial([0.6], lr=1e-4, optimizer="adam", weight_decay=1),
        trial([0.7], lr=1e-1, optimizer="sgd", momentum=0.5, weight_decay=0),
        trial([0.8], lr=1e-3, optimizer="sgd", momentum=0.99, weight_decay=0),
    ], [LR, OPTIMIZER, MOMENTUM, DECAY])  # fmt: skip
    frame = parallel.prepare(found)
    assert list(frame.columns) == ["number", "weight_decay", "momentum", "optimizer", "lr", "value"]
    assert frame["optimizer"].tolist() == ["adam", "adam", "sgd", "sgd"]
    lines = parallel.draw(frame, found).data[0]
    by_label = {d.label: d for d in lines.dimensions}
    assert lines.dimensions[-1].label == "validation accuracy"
    assert list(lines.dimensions[-1]["values"]) == [0.5, 0.6, 0.7, 0.8]
    assert list(lines.line.color) == [0.5, 0.6, 0.7, 0.8]
    assert list(by_label["lr"]["values"]) == pytest.approx([2 / 3, 0, 1, 1 / 3])
    assert list(by_label["lr"].tickvals) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert list(by_label["weight_decay"]["values"]) == [0.25, 1, 0, 0]
    assert by_label["optimizer"].ticktext == ("sgd", "adam")
    assert list(by_label["optimizer"]["values"]) == pytest.approx([1, 1, 0, 0], abs=parallel.MAX_JITTER)
    momentum = by_label["momentum"]
    assert momentum.ticktext[0] == "not set"
    assert momentum.tickvals[0] < 0
    assert list(momentum["values"][:2]) == pytest.approx([momentum.tickvals[0]] * 2, abs=parallel.MAX_JITTER)
    assert list(momentum["values"][2:]) == pytest.approx([0, 1])
    for dimension in lines.dimensions:
        assert dimension.range[0] <= min(dimension["values"])
        assert max(dimension["values"]) <= dimension.range[1]
    *drawn, axes, marks = stills.flat(parallel.draw(frame, found)).data
    best = drawn[-1]
    assert len(axes.x) == 3 * len(lines.dimensions)
    assert len(best.x) == len(lines.dimensions) + 1, "the best trial alone, and a gap"
    for i, dimension in enumerate(lines.dimensions):
        free = dimension.range[1] - dimension.range[0]
        assert best.y[i] == pytest.approx((dimension["values"][3] - dimension.range[0]) / free)
    assert "sgd –" in marks.text


def test_the_best_tenth_is_told():
    sgd, adam = {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}
    trials = [trial([i / 100], lr=1e-3 if i < 27 else 1e-2, **(sgd if i in (3, 29) else adam)) for i in range(30)]
    found = record([*trials[:-2], trial([0.28], lr=0.05, **adam, momentum=0.5), trials[-1]], [LR, OPTIMIZER, MOMENTUM])
    text = parallel.describe(parallel.prepare(found), found)
    assert "The best tenth (n = 3): validation accuracy 0.2700 to 0.2900" in text
    assert "lr 0.01 to 0.05" in text
    assert "optimizer adam (2 of 3)" in text


# Contour


def test_the_surface_follows_a_plane_and_is_empty_where_no_trial_is():
    rng = np.random.default_rng(0)
    points = [(u, v) for u, v in rng.random((60, 2)) if u < 0.5]
    found = record([trial([u + v / 2], lr=1e-4 * 1e3**u, weight_decay=v) for u, v in points], [LR, DECAY])
    frame = contour.prepare(found)
    assert list(frame.columns) == ["kind", "number", *(s.key for s in importance.most_important(found, 2)), "value"]
    trials, surface = frame[frame["kind"] == "trial"], frame[frame["kind"] == "surface"]
    assert trials["value"].tolist() == pytest.approx([u + v / 2 for u, v in points])
    assert len(surface) == contour.GRID**2
    u, v = np.log10(surface["lr"] / 1e-4) / 3, surface["weight_decay"]
    assert surface.loc[u > 0.5 + contour.MAX_DISTANCE, "value"].isna().all()
    shown = surface["value"].notna()
    assert shown.mean() > 0.4
    assert np.abs(surface["value"] - (u + v / 2))[shown].max() < 0.03
    figure = contour.draw(frame, found)
    assert [trace.type for trace in figure.data] == ["contour", "scatter"]
    assert {figure.layout.xaxis.type, figure.layout.yaxis.type} == {"log", "linear"}
    assert figure.data[0].coloraxis == figure.data[1].marker.coloraxis == "coloraxis"


def test_no_surface_over_words():
    found = drawn(lambda params, rng: by_lr(params, rng) * (params["optimizer"] == "sgd"), space=(LR, OPTIMIZER))
    frame = contour.prepare(found)
    assert set(frame["kind"]) == {"trial"}
    assert frame["optimizer"].tolist() == found.trials["params.optimizer"].tolist()
    assert [trace.type for trace in contour.draw(frame, found).data] == ["scatter"]
    assert "No surface is fitted: one of the settings is not a number." in contour.describe(frame, found)


def test_no_surface_over_few_trials():
    found = drawn(by_lr, 19, space=(LR, DECAY))
    frame = contour.prepare(found)
    assert set(frame["kind"]) == {"trial"}
    assert "No surface is fitted: it takes 20 trials." in contour.describe(frame, found)


def test_numbers_to_choose_from_stand_at_equal_distances():
    found = drawn(lambda params, rng: by_lr(params, rng) - params["batch_size"] / 100, space=(LR, BATCH))
    frame = contour.prepare(found)
    surface = frame[frame["kind"] == "surface"]
    assert set(frame.query("kind == 'trial'")["batch_size"]) == {32, 64, 128}
    rows = np.sort(surface["batch_size"].unique())
    assert (rows[0], rows[-1]) == (32, 128)
    assert rows[-1] - rows[-2] == pytest.approx(2 * (rows[1] - rows[0])), "the upper gap is twice as wide"
    near = surface.dropna(subset="value").query("0.005 < lr < 0.02")
    assert near["batch_size"].nunique() == contour.GRID, "no gap between choices"
    figure = contour.draw(frame, found)
    axis = next(a for a in (figure.layout.xaxis, figure.layout.yaxis) if a.title.text == "batch_size")
    assert axis.ticktext == ("32", "64", "128")


def test_of_many_trials_the_surface_takes_some_and_says_so():
    found = drawn(by_lr, 320, space=(LR, DECAY))
    frame = contour.prepare(found)
    pd.testing.assert_frame_equal(frame, contour.prepare(found))
    text = contour.describe(frame, found)
    assert "320 trials" in text
    assert "fitted to 300 of them, drawn at random" in text


def test_settings_that_never_meet_are_not_paired():
    space = [OPTIMIZER, MOMENTUM, {"key": "beta", "low": 0.8, "high": 1.0, "when": {"optimizer": ["adam"]}}, LR]
    rng = np.random.default_rng(0)
    trials = []
    for i in range(60):
        own = (
            {"optimizer": "sgd", "momentum": rng.uniform(0.5, 0.99)}
            if i % 2
            else {"optimizer": "adam", "beta": rng.uniform(0.8, 1)}
        )
        trials.append(trial([own.get("momentum", 0) + own.get("beta", 0) / 2], lr=0.01 + i / 1e4, **own))
    found = record(trials, [space[1], space[2], LR])
    first, second = contour.prepare(found).columns[2:4]
    assert first == "momentum"
    assert second == "lr"


def test_one_setting_alone_interacts_with_nothing():
    with pytest.raises(Missing, match="Fewer than two settings"):
        contour.prepare(drawn(by_lr, space=(LR,)))


# From MLflow


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """24 trials whose settings are true or false, or exist for sgd alone though adam has a default of one of them."""
    folder: Path = tmp_path_factory.mktemp("conditional")
    space = made.SPACE | {
        "nesterov": {"choice": [True, False], "when": {"optimizer": "sgd"}},
        "clip_norm": {"uniform": [0.5, 2.0], "when": {"optimizer": "sgd"}},
        "refit_last_layer": {"choice": [False, True]},
    }
    spec = made.spec(folder, space=space, budget={"trials": 24}, confirm=None)
    uri = f"sqlite:///{folder}/mlflow.db"
    made.search(spec, folder / "results", folder / "data", uri)
    return analysis.record.load("made", tracking_uri=uri)


def test_mlflows_text_becomes_the_specs_values_again(conditional: Record):
    frame = parallel.prepare(conditional)
    sgd = frame["optimizer"] == "sgd"
    assert 0 < sgd.sum() < 24
    assert set(frame["refit_last_layer"]) == {"True", "False"}
    assert set(frame.loc[sgd, "nesterov"]) == {"True", "False"}
    assert frame.loc[~sgd, ["nesterov", "momentum", "clip_norm"]].isna().all().all()
    assert frame.loc[sgd, "clip_norm"].between(0.5, 2.0).all()
    assert (conditional.trials["params.clip_norm"] == 0).sum() == (~sgd).sum(), "adam's default is in the record"


def test_every_figure_of_a_conditional_search_is_drawn(conditional: Record):
    for module in (importance_plot, marginals, parallel, contour):
        frame = module.prepare(conditional)
        assert module.draw(frame, conditional).data
        assert module.describe(frame, conditional).endswith(".")
    lines = parallel.draw(parallel.prepare(conditional), conditional).data[0]
    assert len(lines.dimensions) == 9
    assert all(np.isfinite(dimension["values"]).all() for dimension in lines.dimensions)
