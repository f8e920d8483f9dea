"""How figures read: one way, wherever they are shown."""

import math

import pytest

from contract.formatting import amount, counted, duration, first_line, mean_and_spread, nearest, setting


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 trials"), (1, "1 trial"), (30, "30 trials"), (1000, "1,000 trials")]
)
def test_a_number_of_things(number, text):
    assert counted(number, "trial") == text


@pytest.mark.parametrize(
    ("metric", "values", "text"),
    [
        ("val_accuracy", [0.6266], "62.66 %"),
        ("val_accuracy", [0.62, 0.64], "63.00 ± 1.41 %"),
        ("val_loss", [1.093], "1.0930"),
        ("rmse", [2.0, 4.0], "3.0000 ± 1.4142"),
    ],
)
def test_a_mean_with_its_spread(metric, values, text):
    assert mean_and_spread(metric, values) == text
    assert amount(metric, values[0], math.nan) == mean_and_spread(metric, values[:1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8, "8 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3720, "1 h 02 min"), (-3, "0 s"), (math.nan, "unknown")],
)
def test_a_time(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.00123456, "0.00123"), (64, "64"), ("adam", "adam"), (True, "True")])
def test_a_setting(value, text):
    assert setting(value) == text


@pytest.mark.parametrize(
    ("error", "text"), [(ValueError("one\ntwo"), "one"), (KeyError(), "KeyError"), (OSError("  \n"), "OSError")]
)
def test_the_first_line_of_an_error(error, text):
    assert first_line(error) == text


def test_the_nearest_name():
    assert nearest("lenett", ["lenet", "mlp"]) == " (did you mean 'lenet'?)"
    assert nearest("zzz", ["lenet", "mlp"]) == ""
