"""A search as its file says it, checked."""

import hashlib
import json
from typing import Any, Literal

from pydantic import ConfigDict

from contract.redaction import redact
from search.spec.schema import (
    BudgetSpec,
    ConfirmSpec,
    DataSpec,
    ObjectiveSpec,
    ResourcesSpec,
    SamplerSpec,
    SchedulerSpec,
    Section,
    ShareSpec,
    TrackingSpec,
)
from search.spec.space import Space


class Spec(Section):
    """One search. `space` has been read into constants, parameters and conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: str
    """The name of the MLflow experiment and of the folder of results."""
    data: DataSpec
    space: Space
    objective: ObjectiveSpec
    sampler: SamplerSpec
    scheduler: SchedulerSpec
    budget: BudgetSpec
    resources: ResourcesSpec
    tracking: TrackingSpec
    confirm: ConfirmSpec | None
    storage: str | None
    """Where searches keep their state and checkpoints: a folder that all machines share, or an object store; None for
    a folder of this machine."""
    source: str
    """The file that the spec was read from."""
    lines: dict[str, int]
    """The line of each key in that file, counted from 1."""
    by_model: dict[str, ShareSpec]
    """The resources of the trials of those models that have a key of their own in `resources`."""
    content: dict[str, Any]
    """The file's content after `--set`, which is recorded and hashed."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that the search may train."""
        return self.space.possible("model")

    @property
    def trials(self) -> int:
        """The largest number of trials that the search makes."""
        combinations = len(self.space.product() if self.sampler.name == "grid" else self.space.grid)
        if self.sampler.name == "grid" or not self.space.sampled:
            return min(combinations, self.budget.trials or combinations)
        return self.budget.trials or combinations

    def share_of(self, model: str) -> tuple[int, float | Literal["auto"]]:
        """The CPU cores and the GPUs of each trial of a model."""
        own = self.by_model.get(model, ShareSpec())
        return own.cpu or self.resources.cpu, self.resources.gpu if own.gpu is None else own.gpu

    def share_key(self, model: str, kind: str) -> str:
        """The key that sets the `cpu` or `gpu` of a model's trials."""
        own = self.by_model.get(model)
        return f"resources.{model}.{kind}" if own and getattr(own, kind) is not None else f"resources.{kind}"

    @property
    def kept(self) -> int:
        """The number of best trials whose weights are kept."""
        return self.confirm.top if self.confirm else ConfirmSpec().top

    @property
    def protocol(self) -> str:
        """How the search's figures were obtained, in a few sentences."""
        parts = []
        on_test = self.data.validation == "test"
        if on_test:
            parts.append(
                "Settings were chosen on the test set (validation: test), as in some publications: val is test."
            )
        if self.confirm:
            seeds = f"{self.confirm.seeds} fresh seed{'s' if self.confirm.seeds != 1 else ''}"
            parts.append(f"Confirmed: retrained on {seeds}; the first is the best by mean {self.objective.metric}.")
            if not on_test:
                parts.append("The test set was used for nothing else.")
        return " ".join([*parts, "± is the standard deviation over seeds."])

    @property
    def hash(self) -> str:
        """A digest of the content, equal for equal searches."""
        content = redact(json.dumps(self.content, sort_keys=True, default=str))
        return hashlib.blake2b(content.encode(), digest_size=6).hexdigest()
