"""A searched hyperparameter, as the record describes it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.metrics import is_number


@dataclass(frozen=True)
class Setting:
    """One searched hyperparameter."""

    key: str
    """Its name in the spec."""
    when: Mapping[str, list[Any]]
    """It exists only where each of these keys has one of these values."""
    choices: tuple[Any, ...] | None = None
    """The values to choose from; None for a range."""
    low: float = math.nan
    """The lower end of a range."""
    high: float = math.nan
    """The upper end of a range."""
    log: bool = False
    """Whether a range is searched on a logarithmic scale."""
    integer: bool = False
    """Whether a range holds whole numbers alone."""

    @classmethod
    def from_description(cls, entry: Mapping[str, Any]) -> "Setting":
        """Take an entry of the description's space."""
        choices = tuple(entry["choices"]) if "choices" in entry else None
        return cls(**{**entry, "choices": choices})

    @property
    def column(self) -> str:
        """Its column of the trials."""
        return f"params.{self.key}"

    @property
    def numeric(self) -> bool:
        """Whether its values lie on a scale."""
        return self.choices is None or all(is_number(choice) for choice in self.choices)
