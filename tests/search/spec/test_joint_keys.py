"""Keys that are varied together: `augment, normalize: {grid: [[none, half], [flip, none]]}`."""

import pytest

from search.spec.loader import parse
from search.study.study import StudySearcher


def spec(space: dict, **sections):
    content = {"name": "joint", "data": "digits", "space": space, "sampler": {"name": "grid"}} | sections
    return parse(content, "joint.yaml", {})


ROWS = {"lr, epochs": {"grid": [[1e-2, 4], [1e-3, 8], [1e-2, 8]]}}


def test_only_the_rows_are_tried_in_their_order():
    found, problems = spec(ROWS)
    assert problems == []
    assert found.space.product() == [{"lr": 1e-2, "epochs": 4}, {"lr": 1e-3, "epochs": 8}, {"lr": 1e-2, "epochs": 8}]
    assert found.trials == 3


@pytest.mark.parametrize("first", [True, False])
def test_rows_are_crossed_with_other_grids_the_rows_slowest(first):
    seeds = {"seed": {"grid": [0, 1]}}
    found, problems = spec({**ROWS, **seeds} if first else {**seeds, **ROWS})
    assert problems == []
    points = found.space.product()
    assert [(p["lr"], p["epochs"], p["seed"]) for p in points] == [
        (1e-2, 4, 0), (1e-2, 4, 1), (1e-3, 8, 0), (1e-3, 8, 1), (1e-2, 8, 0), (1e-2, 8, 1),
    ]  # fmt: skip


def test_two_tables_are_crossed_with_each_other():
    found, problems = spec({**ROWS, "seed, batch_size": {"grid": [[0, 32], [1, 64]]}})
    assert problems == []
    assert found.trials == 6


def test_a_sampler_draws_the_other_keys_once_for_all_rows(tmp_path):
    found, problems = spec(
        {**ROWS, "batch_size": {"choice": [16, 32, 64, 128]}},
        sampler={"name": "random", "seed": 1},
        budget={"trials": 6},
    )
    assert problems == []
    searcher = StudySearcher(found, tmp_path / "study.log")
    asked = [searcher.ask()[1] for _ in range(6)]
    assert [(p["lr"], p["epochs"]) for p in asked] == [(1e-2, 4), (1e-3, 8), (1e-2, 8)] * 2
    assert len({p["batch_size"] for p in asked[:3]}) == 1
    assert len({p["batch_size"] for p in asked[3:]}) == 1


def test_true_is_not_one():
    found, problems = spec({"nesterov, decay_interval": {"grid": [[True, 1], [False, 2]]}, "optimizer": "sgd"})
    assert problems == []
    assert found.space.product() == [{"nesterov": True, "decay_interval": 1}, {"nesterov": False, "decay_interval": 2}]


def test_settings_without_effect_are_taken_in_rows_that_somebody_wrote_out():
    _, problems = spec({"schedule, decay_interval": {"grid": [["constant", 1], ["step", 3]]}})
    assert problems == []


def test_the_longest_row_must_fit_the_scheduler():
    _, problems = spec(ROWS, scheduler={"name": "none", "max_epochs": 5})
    assert [p.key for p in problems] == ["space.epochs"]


@pytest.mark.parametrize(
    ("space", "key", "text"),
    [
        ({"lr, epochs": {"grid": [[1e-2, 4], [1e-3]]}}, "space.lr, epochs", "row 2 has 1 values for 2 keys: [0.001]"),
        ({"lr, epochs": {"grid": []}}, "space.lr, epochs", "a list for each row"),
        ({"lr, epochs": {"grid": [1, 2]}}, "space.lr, epochs", "a list for each row"),
        ({"lr, epochs": {"choice": [[1, 2]]}}, "space.lr, epochs", "need {grid:"),
        ({"lr, epochs": [[1, 2]]}, "space.lr, epochs", "need {grid:"),
        ({"lr, epochs": {"grid": [[1e-2, 4]], "when": {"model": "lenet"}}}, "space.lr, epochs", "need {grid:"),
        ({**ROWS, "lr": 1}, "space.lr", "given twice"),
        ({**ROWS, "lr": {"grid": [1, 2]}}, "space.lr", "given twice"),
        ({"lr": 1, **ROWS}, "space.lr, epochs", "lr is given twice"),
        ({**ROWS, "lr, seed": {"grid": [[1, 2]]}}, "space.lr, seed", "lr is given twice"),
        ({"lr, lr": {"grid": [[1, 2]]}}, "space.lr, lr", "lr is given twice"),
        ({"lr, epochs": {"grid": [[-1.0, 4]]}}, "space.lr", "must be above 0"),
        ({"lr, eposch": {"grid": [[1.0, 4]]}}, "space.eposch", "did you mean 'epochs'"),
        ({"lr, epochs": {"grid": [[[1], 4]]}}, "space.lr, epochs", "lr: values must be"),
    ],
)
def test_a_mistake_is_named(space, key, text):
    found, problems = spec(space)
    assert found is None
    assert key in [p.key for p in problems]
    assert text in "\n".join(p.text for p in problems)


def test_a_mistake_in_a_column_has_the_line_of_its_table(tmp_path):
    from search.errors import UserError
    from search.spec.loader import load

    path = tmp_path / "joint.yaml"
    path.write_text(
        "name: joint\ndata: digits\nspace:\n  seed: 1\n  lr, epochs: {grid: [[-1, 4]]}\nsampler: {name: grid}\n"
    )
    with pytest.raises(UserError) as error:
        load(path)
    assert error.value.messages() == [f"{path}:5: space.lr: must be above 0, not -1.0"]
