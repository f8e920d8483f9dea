"""Refusals of a model, and the checks that raise them."""

from collections.abc import Iterable


class ModelError(ValueError):
    """The model cannot be built with these options for images of this size; the message says what is possible."""


def check_size(model: str, input_shape: tuple[int, int, int], min_pixels: int) -> None:
    """Refuse images that are too small.

    Args:
        model: the name of the model, for the message.
        input_shape: (channels, height, width).
        min_pixels: pixels that each side must have.

    Raises:
        ModelError: a side of the images has fewer pixels.
    """
    _, height, width = input_shape
    if min(height, width) < min_pixels:
        raise ModelError(f"{model} needs images of {min_pixels}x{min_pixels} or more, not {width}x{height}")


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        ModelError: the value is not one of them.
    """
    known = list(choices)
    if value not in known:
        raise ModelError(f"{option} must be one of {', '.join(known)}, not {value!r}")


def check_minimum(option: str, value: int, minimum: int) -> None:
    """Refuse a number that is too small.

    Raises:
        ModelError: the value is below the minimum.
    """
    if value < minimum:
        raise ModelError(f"{option} must be {minimum} or more, not {value}")
