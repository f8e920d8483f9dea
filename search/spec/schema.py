"""The sections of a spec, one class each: their keys, types, limits and defaults."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

import trainables.datasets
from contract.formatting import nearest
from contract.metrics import VAL_ACCURACY, Mode, natural_mode
from search.spec.sampler_rules import NAMES as SAMPLERS
from trainables import module_folder, named_dataset, own_code
from trainables.datasets import image_folder
from trainables.epoch_metrics import OBJECTIVES

LARGEST_SIDE, LARGEST_SEED = 4096, 2**32 - 1


class Section(BaseModel):
    """Base of all sections: fixed once read, unknown keys forbidden, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSpec(Section):
    """`data`: what is trained on, and what is set aside."""

    name: str
    folder: str | None = None
    """Of `image_folder`, under the data directory."""
    image_size: Annotated[int, Field(ge=1, le=LARGEST_SIDE)] | None = None
    """Of `image_folder`: pixels a side that all pictures are resized to."""
    options: dict[str, str | int | Annotated[float, Field(allow_inf_nan=False)] | bool | None] = {}
    """Other keyword arguments of the data set's `load`."""
    validation: Annotated[float, Field(gt=0, lt=1)] | Literal["own", "rest", "test"] | None = None
    """Part of each class set aside (null: the data set's own validation set, else 0.1); `own`; `rest`, all that
    train_fraction leaves; or `test`, which selects on the test set, as some publications did."""
    split_seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    offline_substitute: str | None = None
    """The data set to use, loudly, where the real one is not there and cannot be fetched."""

    @field_validator("folder")
    @classmethod
    def _under_the_data_directory(cls, folder: str | None) -> str | None:
        if folder is not None:
            image_folder.check_folder(folder)
        return folder

    @field_validator("name", "offline_substitute")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is None:
            return None
        if own_code.is_dotted(name):
            named_dataset.loader(name)  # or refuse it
            return name
        return _listed(name, tuple(module_folder.names(trainables.datasets)), "data set")

    @property
    def load_options(self) -> dict[str, Any]:
        """What the data set's `load` is given."""
        return self.options | self.model_dump(include={"folder", "image_size"}, exclude_none=True)


class ObjectiveSpec(Section):
    """`objective`: what is made better."""

    metric: str = VAL_ACCURACY
    """Any metric that the trials report."""
    mode: Mode | None = None
    """Need not be given of accuracies, which are raised, and of losses, which are lowered."""

    @property
    def maximize(self) -> bool:
        """Whether a larger value is better."""
        return (self.mode or natural_mode(self.metric)) == "max"

    @model_validator(mode="after")
    def _mode_fits(self) -> "ObjectiveSpec":
        natural = natural_mode(self.metric)
        if self.mode is None and self.metric not in OBJECTIVES:
            raise ValueError(
                f"metric must be one of {', '.join(map(repr, OBJECTIVES))}; not {self.metric!r}"
                f"{nearest(self.metric, OBJECTIVES)}: of another metric that the trials report, give the mode, max or min"
            )
        if natural is not None and self.mode not in (None, natural):
            better = "larger" if natural == "max" else "smaller"
            raise ValueError(f"{self.metric} is better when it is {better}: set mode: {natural}")
        return self


class SamplerSpec(Section):
    """`sampler`: who proposes the configurations."""

    name: str = "tpe"
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _listed(name, SAMPLERS, "sampler")


class SchedulerSpec(Section):
    """`scheduler`: how long a trial may train, and who stops it before."""

    name: str = "asha"
    max_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    grace_period: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Epochs before the first rung."""
    reduction_factor: Annotated[int, Field(ge=2, le=1000)] = 3
    """One in so many goes on past a rung, and the next rung is so many times later."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _listed(name, ("asha", "none"), "scheduler")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which ASHA compares trials: grace, grace * factor, ... below the last epoch."""
        return rung_epochs(self.grace_period, self.reduction_factor, self.max_epochs) if self.name == "asha" else ()

    @model_validator(mode="after")
    def _grace(self) -> "SchedulerSpec":
        if self.name == "asha" and self.max_epochs < self.grace_period:
            raise ValueError(
                f"max_epochs {self.max_epochs} is below grace_period {self.grace_period}: raise one or lower the other"
            )
        return self


class BudgetSpec(Section):
    """`budget`: when the search ends."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    hours: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Wall time of the search, summed over its launches; confirmation is not counted."""
    concurrent: Literal["auto"] | Annotated[int, Field(ge=1, le=10_000)] = "auto"
    checkpoint_bytes: Annotated[int, Field(ge=1, le=10**18)] | None = None
    """What all checkpoints may take on the disk. Those of the best ended trials are let go of first; where the running
    trials alone need more, the search ends, to be resumed with more."""


Cpus = Annotated[int, Field(ge=1, le=10_000)]
Gpus = Literal["auto"] | Annotated[float, Field(ge=0, le=10_000)]


class ShareSpec(Section):
    """`resources.MODEL`: what the trials of one model are given, where it is not what the others are."""

    cpu: Cpus | None = None
    gpu: Gpus | None = None

    @field_validator("gpu")
    @classmethod
    def _whole(cls, gpu: Gpus | None) -> Gpus | None:
        if isinstance(gpu, float) and gpu > 1 and gpu % 1:
            raise ValueError(f"must be a whole number above 1, or a part of one GPU below it, not {gpu:g}")
        return gpu


class ResourcesSpec(ShareSpec):
    """`resources`: of one trial. The file may have `default` and models beside these keys, a `ShareSpec` each."""

    cpu: Cpus = 1
    gpu: Gpus = "auto"
    """A number, a fraction to share a GPU, or auto: packed by measured memory where there is a GPU."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 2
    """How often a trial whose worker died goes on from its last epoch."""


class TrackingSpec(Section):
    """`tracking`: where the record goes."""

    uri: str | None = None
    """MLflow's; null is MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here."""
    register_as: str | None = Field(default=None, alias="register")
    """Name of a registered model whose alias `champion` the winner becomes."""
    required: bool = True
    """Whether a server that does not answer keeps a search from starting; false sends the record later."""

    @field_validator("register_as")
    @classmethod
    def _as_mlflow_takes_it(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[^/:]{1,100}", name):
            raise ValueError(f"must be a name of at most 100 characters without '/' and ':', not {name!r}")
        return name


class ConfirmSpec(Section):
    """`confirm`: retrain the best on fresh seeds and score them on the test set."""

    top: Annotated[int, Field(ge=1, le=1000)] = 3
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3


SECTIONS: dict[str, type[Section]] = {
    "data": DataSpec,
    "objective": ObjectiveSpec,
    "sampler": SamplerSpec,
    "scheduler": SchedulerSpec,
    "budget": BudgetSpec,
    "resources": ResourcesSpec,
    "tracking": TrackingSpec,
    "confirm": ConfirmSpec,
}


def _listed(name: str, known: tuple[str, ...], what: str) -> str:
    if name not in known:
        raise ValueError(f"no {what} {name!r}{nearest(name, list(known))}; there is: {', '.join(known)}")
    return name


def rung_epochs(grace_period: int, reduction_factor: int, max_epochs: int) -> tuple[int, ...]:
    """The epochs at which trials are compared: grace, grace * factor, ... below the last epoch."""
    epochs, epoch = [], grace_period
    while epoch < max_epochs:
        epochs.append(epoch)
        epoch *= reduction_factor
    return tuple(epochs)
