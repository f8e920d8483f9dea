"""A space draws flat configurations: constants, and each parameter whose condition is met."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.spec.space import Space
from search.spec.space_parser import parse


def made(**entries) -> Space:
    space, problems = parse(entries)
    assert not problems
    return space


def draw(space: Space, **picks) -> dict:
    """A configuration in which each drawn key has the value picked for it."""
    return space.suggest(lambda key, distribution: picks[key])


CHAIN = made(
    optimizer={"choice": ["adam", "sgd"]},
    nesterov={"choice": [True, False], "when": {"optimizer": "sgd"}},
    momentum={"uniform": [0.1, 0.9], "when": {"nesterov": True}},
    lr=0.1,
)


@pytest.mark.parametrize(
    ("picks", "configuration"),
    [
        ({"optimizer": "adam"}, {"lr": 0.1, "optimizer": "adam"}),
        ({"optimizer": "sgd", "nesterov": False}, {"lr": 0.1, "optimizer": "sgd", "nesterov": False}),
        (
            {"optimizer": "sgd", "nesterov": True, "momentum": 0.5},
            {"lr": 0.1, "optimizer": "sgd", "nesterov": True, "momentum": 0.5},
        ),
    ],
)
def test_a_key_exists_only_where_every_condition_up_its_chain_is_met(picks, configuration):
    assert draw(CHAIN, **picks) == configuration  # a key drawn in vain would be a KeyError


def test_parameters_are_drawn_in_the_order_of_the_file():
    keys = []

    def suggest(key, distribution):
        keys.append(key)
        return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low

    made(b={"int": [1, 3]}, a={"uniform": [0, 1]}, c={"choice": [5, 6], "when": {"b": 1}}, d=1).suggest(suggest)
    assert keys == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("when", "picks", "there"),
    [
        ({"a": [1, 3]}, {"a": 1}, True),
        ({"a": [1, 3]}, {"a": 2}, False),
        ({"a": [1, 3]}, {"a": 3}, True),
        ({"a": 2, "k": "here"}, {"a": 2}, True),
        ({"a": 2, "k": "here"}, {"a": 1}, False),
    ],
)
def test_a_condition_may_name_several_values_and_several_keys(when, picks, there):
    space = made(k="here", a={"choice": [1, 2, 3]}, b={"int": [7, 9], "when": when})
    assert ("b" in draw(space, **picks, b=8)) is there


def test_a_condition_on_a_constant_holds_for_every_trial():
    assert draw(made(k="here", b={"int": [7, 9], "when": {"k": "here"}}), b=8) == {"k": "here", "b": 8}


def test_a_condition_on_a_later_key_is_refused_and_the_earlier_ones_are_listed():
    _, [problem] = parse({"a": 1, "b": {"int": [1, 2], "when": {"c": 1}}, "c": {"choice": [1, 2]}})
    assert problem.key == "space.b.when.c"
    assert "earlier keys: a" in problem.text


@pytest.mark.parametrize(
    ("kind", "value", "distribution"),
    [
        ("uniform", [0, 1], FloatDistribution(0.0, 1.0)),
        ("loguniform", [1e-4, 1], FloatDistribution(1e-4, 1.0, log=True)),
        ("int", [2, 5], IntDistribution(2, 5)),
        ("int", [2.0, 5.0], IntDistribution(2, 5)),
        ("logint", [1, 64], IntDistribution(1, 64, log=True)),
        ("choice", ["a", 1, None], CategoricalDistribution(["a", 1, None])),
        ("grid", [0.1, 0.2], CategoricalDistribution([0.1, 0.2])),
    ],
)
def test_each_kind_is_a_distribution_of_optunas(kind, value, distribution):
    assert made(a={kind: value}).parameters[0].distribution == distribution


# Grids and products


def test_the_grid_crosses_the_grid_keys_alone_the_last_one_fastest():
    space = made(seed={"grid": [0, 1]}, lr={"uniform": [0, 1]}, size={"grid": [8, 16]}, augment={"choice": ["a", "b"]})
    assert space.grid == [
        {"seed": 0, "size": 8},
        {"seed": 0, "size": 16},
        {"seed": 1, "size": 8},
        {"seed": 1, "size": 16},
    ]
    assert [p.key for p in space.sampled] == ["lr", "augment"]


def test_without_grid_keys_the_grid_is_one_empty_point():
    assert made(lr={"uniform": [0, 1]}, seed=3).grid == [{}]


def test_a_product_has_every_combination_once_without_the_keys_whose_condition_fails():
    space = made(
        optimizer={"choice": ["adam", "sgd"]},
        momentum={"choice": [0.8, 0.9], "when": {"optimizer": "sgd"}},
        steps={"int": [1, 2]},
    )
    assert space.product() == [
        {"optimizer": "adam", "steps": 1},
        {"optimizer": "adam", "steps": 2},
        {"optimizer": "sgd", "momentum": 0.8, "steps": 1},
        {"optimizer": "sgd", "momentum": 0.8, "steps": 2},
        {"optimizer": "sgd", "momentum": 0.9, "steps": 1},
        {"optimizer": "sgd", "momentum": 0.9, "steps": 2},
    ]


def test_a_chain_of_conditions_holds_in_a_product_too():
    space = made(
        a={"choice": [1, 2]},
        b={"choice": [1, 2], "when": {"a": 1}},
        c={"choice": [1, 2], "when": {"b": 2}},
        k="x",
        d={"grid": [1, 2], "when": {"k": "x", "a": 2}},
    )
    assert space.product() == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 2, "c": 1},
        {"a": 1, "b": 2, "c": 2},
        {"a": 2, "d": 1},
        {"a": 2, "d": 2},
    ]


# What is said of them


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"loguniform": [1e-5, 0.1]}, "1e-05 .. 0.1 (log)"),
        ({"logint": [1, 64]}, "1 .. 64 (log)"),
        ({"uniform": [0, 1]}, "0 .. 1"),
        ({"int": [2, 10]}, "2 .. 10"),
        ({"choice": ["adam", "sgd"]}, "adam, sgd"),
        ({"grid": [0, 1]}, "0, 1 (grid)"),
        ({"int": [2, 10], "when": {"a": 1}}, "2 .. 10, when a = 1"),
        ({"choice": [3, 4], "when": {"a": [1, 2], "k": "here"}}, "3, 4, when a = 1 or 2 and k = here"),
    ],
)
def test_a_parameter_describes_itself_as_a_person_would(entry, text):
    assert made(a={"choice": [1, 2]}, k="here", b=entry).parameters[-1].describe() == text


@pytest.mark.parametrize(
    ("entry", "extremes", "values"),
    [
        ({"uniform": [0, 1]}, (0.0, 1.0), None),
        ({"loguniform": [0.1, 1]}, (0.1, 1.0), None),
        ({"int": [2, 5]}, (2, 5), (2, 3, 4, 5)),
        ({"choice": ["a", "b", "c"]}, ("a", "b", "c"), ("a", "b", "c")),
        ({"grid": [3, 1, 2]}, (3, 1, 2), (3, 1, 2)),
    ],
)
def test_a_parameter_knows_its_extremes_and_the_values_that_can_be_counted(entry, extremes, values):
    [parameter] = made(a=entry).parameters
    assert (parameter.extremes, parameter.values) == (extremes, values)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("lr", (0.1, 1.0)),
        ("batch_size", (8, 16)),
        ("decay_interval", (2, 3, 4)),
        ("seed", (3,)),
        ("optimizer", ("adam",)),
        ("pooling", (None,)),
    ],
)
def test_a_space_knows_what_a_key_may_be_searched_constant_default_or_not_there(key, values):
    space = made(lr={"loguniform": [0.1, 1]}, batch_size={"choice": [8, 16]}, decay_interval={"int": [2, 4]}, seed=3)
    assert space.possible(key) == values


def test_what_is_right_is_read_in_spite_of_what_is_wrong():
    space, problems = parse({"a": {"int": [3, 1]}, "b": {"int": [1, 3]}, "c": [1], "d": 4, "e": {"when": {}}})
    assert [p.key for p in problems] == ["space.a.int", "space.c", "space.e"]
    assert ([p.key for p in space.parameters], space.constants) == (["b"], {"d": 4})
