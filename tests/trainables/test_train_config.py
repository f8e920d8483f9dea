from dataclasses import FrozenInstanceError, replace

import pytest

from trainables.config import (
    AUGMENTATIONS,
    EARLY_STOPPING,
    ENLARGEMENTS,
    FIELDS,
    LOSSES,
    NORMALIZATIONS,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    ConfigError,
    TrainConfig,
    problem,
)


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
        ("clip_norm", -0.1),
        ("clip_norm", float("inf")),
        ("loss", "hinge"),
        ("label_smoothing", -0.1),
        ("label_smoothing", 1.1),
        ("early_stopping", "train_loss"),
        ("early_stopping", True),
        ("patience", 0),
        ("patience", 1.5),
        ("tolerance", -0.1),
        ("tolerance", float("nan")),
        ("refit_last_layer", 1),
        ("augment", "mirror"),
        ("augment", "flip+"),
        ("augment", "flip+flip"),
        ("augment", "none+flip"),
        ("augment", ""),
        ("crop_padding", 0),
        ("rotate_degrees", 0),
        ("rotate_degrees", 181),
        ("shift_fraction", 0),
        ("shift_fraction", 1.1),
        ("scale_range", 0),
        ("scale_range", 0.95),
        ("gamma_range", 0),
        ("gamma_range", 1),
        ("jitter_strength", 0),
        ("jitter_strength", 1.1),
        ("enlarge", "flip"),
        ("enlarge", "rotate+"),
        ("enlarge", "rotate+rotate"),
        ("enlarge", "none+rotate"),
        ("resize", -1),
        ("resize", 32.0),
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
        TrainConfig(lr=-1, optimizer="adagrad", epochs=0, augment="mirror", momentum=3)
    assert set(error.value.problems) == {"lr", "optimizer", "epochs", "augment", "momentum"}
    assert all(f"{name}: " in str(error.value) for name in error.value.problems)
    assert "adam, adamw, sgd" in error.value.problems["optimizer"]


def test_bad_values_are_listed_among_flat_hyperparameters_too():
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_params({"lr": -1, "epochs": 0, "pooling": "max"})
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
        {"augment": "+".join(AUGMENTATIONS)},
        {"enlarge": "gamma+rotate"},
        {"label_smoothing": 0},
        {"label_smoothing": 1},
        {"clip_norm": 0},
        {"resize": 0},
        {"early_stopping": "val_loss", "patience": 1, "tolerance": 0},
        {"augment": "rotate+shift+jitter", "rotate_degrees": 180, "shift_fraction": 1, "jitter_strength": 1},
        {"augment": "scale+gamma", "scale_range": 0.9, "gamma_range": 0.9},
        {"seed": 2**40},
    ],
    ids=str,
)
def test_values_at_the_edge_are_taken(params):
    assert TrainConfig(**params).in_effect().items() >= {k: v for k, v in params.items() if k != "momentum"}.items()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("early_stopping", EARLY_STOPPING),
        ("loss", LOSSES),
        ("normalize", NORMALIZATIONS),
        ("optimizer", OPTIMIZERS),
        ("precision", PRECISIONS),
        ("schedule", SCHEDULES),
        ("augment", ("none", *AUGMENTATIONS)),
        ("enlarge", ("none", *ENLARGEMENTS)),
    ],
)
def test_every_known_name_is_accepted_and_listed_for_an_unknown_one(name, known):
    for value in known:
        assert getattr(TrainConfig(**{name: value}), name) == value
    assert all(value in problem(name, "nothing of the kind") for value in known)


def test_nesterov_needs_momentum():
    with pytest.raises(ConfigError, match="nesterov: needs momentum"):
        TrainConfig(optimizer="sgd", nesterov=True, momentum=0)
    assert TrainConfig(optimizer="adam", nesterov=True, momentum=0)  # neither has an effect there


def test_every_default_is_valid():
    assert {name: problem(name, field.default) for name, field in FIELDS.items() if problem(name, field.default)} == {}


EVERYTHING = {
    "optimizer": "sgd",
    "schedule": "step",
    "loss": "cross_entropy",
    "early_stopping": "val_loss",
    "augment": "+".join(AUGMENTATIONS),
}
OF_AUGMENTATIONS = {
    "crop_padding",
    "gamma_range",
    "jitter_strength",
    "rotate_degrees",
    "scale_range",
    "shift_fraction",
}


@pytest.mark.parametrize(
    ("params", "dropped"),
    [
        ({}, set()),
        ({"optimizer": "adam"}, {"momentum", "nesterov"}),
        ({"optimizer": "adamw"}, {"momentum", "nesterov"}),
        ({"schedule": "halving"}, {"decay_factor"}),
        ({"schedule": "cosine"}, {"decay_interval", "decay_factor"}),
        ({"schedule": "one_cycle"}, {"decay_interval", "decay_factor", "lr_floor"}),
        ({"schedule": "constant"}, {"decay_interval", "decay_factor", "lr_floor"}),
        ({"loss": "squared_error"}, {"label_smoothing"}),
        ({"early_stopping": "val_accuracy"}, set()),
        ({"early_stopping": "none"}, {"patience", "tolerance"}),
        ({"augment": "crop+flip+gamma+jitter+rotate+scale"}, {"shift_fraction"}),
        ({"augment": "none"}, OF_AUGMENTATIONS),
        ({"augment": "flip"}, OF_AUGMENTATIONS),
        ({"augment": "flip+rotate"}, OF_AUGMENTATIONS - {"rotate_degrees"}),
        ({"augment": "jitter"}, OF_AUGMENTATIONS - {"jitter_strength"}),
        ({"augment": "gamma+scale"}, OF_AUGMENTATIONS - {"gamma_range", "scale_range"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_does_not_apply_is_dropped(params, dropped):
    assert set(FIELDS) - set(TrainConfig.from_params(EVERYTHING | params).in_effect()) == dropped


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
    config = TrainConfig.from_params({"model": "lenet", "lr": 0.1, "pooling": "average"})
    assert config.lr == 0.1
    assert dict(config.model_options) == {"pooling": "average"}
    assert config.in_effect()["pooling"] == "average"
    assert TrainConfig.from_params(config.in_effect()).in_effect() == config.in_effect()


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
