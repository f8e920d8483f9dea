"""What a model can refuse."""


class ModelError(ValueError):
    """The model cannot be built with these options for images of this size; the message says what is possible."""
