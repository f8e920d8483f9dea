"""What earlier trials say of the memory that a trial will need."""

from collections.abc import Iterable, Mapping
from typing import Any

from search.journal.records import TrialRecord
from trainables.config import FIELDS

NETWORK = ("model", "resize", "precision")
"""The hyperparameters that, with the model's options, say how much memory an image takes."""


def known_micro_batch(record: TrialRecord, records: Iterable[TrialRecord]) -> int | None:
    """The smallest micro-batch that this trial needed, or one of the same network and no larger batches."""
    network, batch_size = _network(record.params), record.params["batch_size"]
    like = (
        r.micro_batch
        for r in records
        if r.micro_batch and _network(r.params) == network and r.params["batch_size"] <= batch_size
    )
    return min(like, default=None)


def _network(params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say which network it is, options of the model among them."""
    return {key: value for key, value in params.items() if key in NETWORK or key not in FIELDS}
