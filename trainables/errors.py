"""What a model can refuse."""


class ModelError(ValueError):
    """The model cannot be built with these options for images of this size; the message says what is possible."""


def first_line(error: Exception) -> str:
    """The beginning of an error's text, of which libraries write pages; its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
