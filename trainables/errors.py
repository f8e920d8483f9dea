"""What a model can refuse."""

from collections.abc import Iterable


class ModelError(ValueError):
    """The model cannot be built with these options for images of this size; the message says what is possible."""


def check_size(model: str, input_shape: tuple[int, int, int], least: int) -> None:
    """Refuse images (channels, height, width) of fewer pixels a side.

    Raises:
        ModelError: they are too small.
    """
    _, height, width = input_shape
    if min(height, width) < least:
        raise ModelError(f"{model} needs images of {least}x{least} or more, not {width}x{height}")


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        ModelError: it is not.
    """
    known = list(choices)
    if value not in known:
        raise ModelError(f"{option} must be one of {', '.join(known)}, not {value!r}")


def check_least(option: str, value: int, least: int) -> None:
    """Refuse a number that is too small.

    Raises:
        ModelError: it is.
    """
    if value < least:
        raise ModelError(f"{option} must be {least} or more, not {value}")
