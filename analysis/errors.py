"""What can keep an analysis, or a part of it, from being made."""


class AnalysisError(LookupError):
    """There is nothing to analyse; the message says why, and what to do."""


class Missing(Exception):
    """A section or figure without data; the message says why, and stands in its place."""
