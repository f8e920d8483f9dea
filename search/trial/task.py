"""What a worker is given to train."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """All that a worker needs to train one trial, or to continue it."""

    id: str
    params: dict[str, Any]
    data: dict[str, Any]
    """A `DataSource`'s content."""
    checkpoint: str
    """File that holds the state after each epoch; its name in the storage where there is one."""
    threads: int
    """Threads of torch in the worker, and CPUs that it is given."""
    gpu: float = 0.0
    """GPUs of the worker."""
    device: str = "cpu"
    """`cpu` or `cuda`; Ray shows a worker only the GPUs that it was given."""
    score_test: bool = False
    epochs_done: int = 0
    """Epochs that the driver has; what the checkpoint lacks of them is trained again, and that is said."""
    micro_batch: int | None = None
    """Images that may go through the network at once, for memory's sake; None for a whole batch."""
    storage: str | None = None
    """Address of the object store that holds the checkpoint, None for a file."""
    own_code: str | None = None
    """The folder of the user's own models and data sets, where they may be run."""
