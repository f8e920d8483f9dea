from dataclasses import FrozenInstanceError, replace

import pytest

from trainables.config import FIELDS, ConfigError, TrainConfig, problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", "ten"),
        ("batch_size", 0),
        ("optimizer", "adagrad"),
        ("optimizer", None),
        ("lr", 0),
        ("lr", -1e-3),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("lr", "1e-3"),
        ("momentum", 1.1),
        ("momentum", -0.1),
        ("nesterov", 1),
        ("nesterov", "yes"),
        ("weight_decay", -1),
        ("schedule", "linear"),
        ("decay_interval", 0),
        ("decay_factor", 0),
        ("decay_factor", 1.5),
        ("lr_floor", -1),
        ("warmup_epochs", -1),
        ("augment", "rotate"),
        ("augment", "flip+"),
        ("augment", "none+flip"),
        ("augment", ""),
        ("crop_padding", 0),
        ("normalize", "minmax"),
        ("train_fraction", 0),
        ("train_fraction", 1.01),
        ("precision", "float16"),
        ("seed", -1),
        ("seed", 1.0),
        ("model", 5),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(ConfigError) as error:
        TrainConfig(**{name: value})
    assert set(error.value.problems) == {name}
    assert str(error.value).startswith(f"{name}: must be ")
    assert repr(value) in str(error.value)
    assert problem(name, value) == error.value.problems[name]


def test_every_bad_value_is_listed():
    with pytest.raises(ConfigError) as error:
        TrainConfig(lr=-1, optimizer="adagrad", epochs=0, augment="rotate", momentum=3)
    assert set(error.value.problems) == {"lr", "optimizer", "epochs", "augment", "momentum"}
    assert all(f"{name}: " in str(error.value) for name in error.value.problems)
    assert "adam, adamw, sgd" in error.value.problems["optimizer"]


def test_bad_values_are_listed_among_flat_hyperparameters_too():
    with pytest.raises(ConfigError) as error:
        TrainConfig.of({"lr": -1, "epochs": 0, "pooling": "max"})
    assert set(error.value.problems) == {"lr", "epochs"}


@pytest.mark.parametrize(
    "params",
    [
        {"lr": 1},
        {"momentum": 0},
        {"momentum": 1},
        {"train_fraction": 1},
        {"decay_factor": 1},
        {"augment": "crop+flip"},
        {"seed": 2**40},
    ],
    ids=str,
)
def test_values_at_the_edge_are_taken(params):
    assert TrainConfig(**params).in_effect().items() >= {k: v for k, v in params.items() if k != "momentum"}.items()


def test_nesterov_needs_momentum():
    with pytest.raises(ConfigError, match="nesterov: needs momentum"):
        TrainConfig(optimizer="sgd", nesterov=True, momentum=0)
    assert TrainConfig(optimizer="adam", nesterov=True, momentum=0)  # neither has an effect there


def test_every_default_is_valid():
    assert {name: problem(name, field.default) for name, field in FIELDS.items() if problem(name, field.default)} == {}


@pytest.mark.parametrize(
    ("params", "dropped"),
    [
        ({"optimizer": "adam"}, {"momentum", "nesterov"}),
        ({"optimizer": "adamw"}, {"momentum", "nesterov"}),
        ({"optimizer": "sgd"}, set()),
        ({"optimizer": "sgd", "schedule": "cosine"}, {"decay_interval", "decay_factor"}),
        ({"optimizer": "sgd", "schedule": "constant"}, {"decay_interval", "decay_factor", "lr_floor"}),
    ],
    ids=str,
)
def test_what_does_not_apply_is_dropped(params, dropped):
    assert set(FIELDS) - set(TrainConfig(augment="crop", **params).in_effect()) == dropped


@pytest.mark.parametrize(
    ("augment", "applies"), [("none", False), ("flip", False), ("crop", True), ("flip+crop", True)]
)
def test_the_padding_applies_where_there_is_a_crop(augment, applies):
    assert ("crop_padding" in TrainConfig(augment=augment).in_effect()) is applies


def test_runs_that_differ_in_nothing_effective_are_equal():
    one = TrainConfig(optimizer="adam", momentum=0.1, schedule="constant", decay_factor=0.3)
    assert (
        one.in_effect()
        == TrainConfig(optimizer="adam", momentum=0.8, schedule="constant", decay_factor=0.4).in_effect()
    )
    assert one.in_effect() != TrainConfig(optimizer="adam", schedule="constant", lr=0.3).in_effect()


def test_flat_hyperparameters_are_spread():
    config = TrainConfig.of({"model": "lenet", "lr": 0.1, "pooling": "average"})
    assert config.lr == 0.1
    assert dict(config.model_options) == {"pooling": "average"}
    assert config.in_effect()["pooling"] == "average"
    assert TrainConfig.of(config.in_effect()).in_effect() == config.in_effect()


def test_a_configuration_does_not_change():
    options = {"pooling": "max"}
    config = TrainConfig(model_options=options)
    options["pooling"] = "average"
    assert config.model_options["pooling"] == "max"
    with pytest.raises(FrozenInstanceError):
        config.lr = 1.0
    with pytest.raises(TypeError):
        config.model_options["pooling"] = "average"
    assert replace(config, lr=0.5).model_options == {"pooling": "max"}
