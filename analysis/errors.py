"""What can keep an analysis, or a part of it, from being made."""

from contract.redaction import redact


class AnalysisError(LookupError):
    """There is nothing to analyse; the message says why, and what to do, without secrets."""

    def __init__(self, message: str):
        """Take the message, and hide the secrets in it."""
        super().__init__(redact(message))


class Missing(Exception):
    """A section or figure without data; the message says why, and stands in its place, without secrets."""

    def __init__(self, message: str):
        """Take the message, and hide the secrets in it."""
        super().__init__(redact(message))
