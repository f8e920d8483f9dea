"""What a step of a trial can give: an epoch that was done, a failure, or a state that could not be saved."""

from dataclasses import dataclass

from contract.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Step:
    """What every step may say beside its result."""

    restore_notice: str = ""
    """What of the trial's checkpoint was lost, and from where the trial continues; said once."""
    micro_batch: int | None = None
    """Images that go through the network at once, where memory did not suffice for a whole batch."""


@dataclass(frozen=True, kw_only=True)
class EpochDone(Step):
    """An epoch was trained, and the trial's state after it is saved."""

    epoch: int
    """The first is 1."""
    metrics: Metrics
    finished: bool = False
    """Whether the trial has no further epoch to train."""


@dataclass(frozen=True, kw_only=True)
class TrialFailed(Step):
    """The trial's code raised."""

    traceback: str


@dataclass(frozen=True, kw_only=True)
class StateNotSaved(Step):
    """The state after an epoch could not be written, which is no failure of the trial."""

    reason: str


StepResult = EpochDone | TrialFailed | StateNotSaved
