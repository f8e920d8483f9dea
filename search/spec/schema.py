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

MAX_SIDE = 4096
"""Pixels of a side of an image."""
MAX_SEED = 2**32 - 1
SCHEDULERS = ("asha", "none")


class Section(BaseModel):
    """Base of all sections: fixed once read, unknown keys forbidden, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSpec(Section):
    """`data`: which images are trained on, and which are set aside for validation."""

    name: str
    """The name of the data set; it must be given. A dotted path names a data set of your own."""
    folder: str | None = None
    """The folder of the pictures, under the data directory. Only `image_folder` takes it, and needs it."""
    image_size: Annotated[int, Field(ge=1, le=MAX_SIDE)] | None = None
    """Pixels of a side that all pictures are resized to; by default they keep their size, which must then be equal.
    Only data sets made of files of pictures take it."""
    options: dict[str, str | int | Annotated[float, Field(allow_inf_nan=False)] | bool | None] = {}
    """Other keyword arguments of the data set's `load` function; none by default."""
    validation: Annotated[float, Field(gt=0, lt=1)] | Literal["own", "rest", "test"] | None = None
    """What is validated on: a number sets this part of each class of the training set aside; `own` is the data set's
    own validation set; `rest` is all that `train_fraction` leaves; `test` is the test set, which some publications
    selected on. By default it is the data set's own validation set where it has one, else 0.1."""
    split_seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """The seed of the split into training and validation images; 0 by default. All trials share the split."""
    offline_substitute: str | None = None
    """The data set to train on, with loud warnings, where the real one is missing and cannot be downloaded. By default
    there is none, and the search is refused."""

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
            named_dataset.loader(name)  # raises what is wrong with it
            return name
        return _listed(name, tuple(module_folder.names(trainables.datasets)), "data set")

    @property
    def load_options(self) -> dict[str, Any]:
        """The keyword arguments that the data set's `load` function is called with."""
        return self.options | self.model_dump(include={"folder", "image_size"}, exclude_none=True)


class ObjectiveSpec(Section):
    """`objective`: the figure by which trials are compared."""

    metric: str = VAL_ACCURACY
    """The name of any metric that the trials report after each epoch; `val_accuracy` by default."""
    mode: Mode | None = None
    """Whether the metric is raised (`max`) or lowered (`min`). By default accuracies are raised and losses lowered; of
    a metric that the project does not know, the mode must be given."""

    @property
    def maximize(self) -> bool:
        """Whether a larger value is better."""
        return (self.mode or natural_mode(self.metric)) == "max"

    @model_validator(mode="after")
    def _mode_fits(self) -> "ObjectiveSpec":
        natural = natural_mode(self.metric)
        if self.mode is None and self.metric not in OBJECTIVES:
            raise ValueError(
                f"no metric {self.metric!r} is known{nearest(self.metric, OBJECTIVES)}; there is: "
                f"{', '.join(OBJECTIVES)}; for another one that the trials report, add mode: max or mode: min"
            )
        if natural is not None and self.mode not in (None, natural):
            better = "larger" if natural == "max" else "smaller"
            raise ValueError(f"{self.metric} is better when it is {better}: set mode: {natural}")
        return self


class SamplerSpec(Section):
    """`sampler`: what proposes the settings of each trial."""

    name: str = "tpe"
    """The name of the sampler: cmaes, gp, grid, random or tpe; `tpe` by default."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """The seed of the sampler; 0 by default."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _listed(name, SAMPLERS, "sampler")


class SchedulerSpec(Section):
    """`scheduler`: how long a trial may train, and which trials are stopped before."""

    name: str = "asha"
    """The name of the scheduler; `asha` by default. With `none` every trial trains to its last epoch."""
    max_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """The epochs that a trial trains for unless it is stopped, where `epochs` is not searched; 20 by default."""
    grace_period: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """The epochs that every trial trains for before the first rung, where ASHA first stops some; 1 by default."""
    reduction_factor: Annotated[int, Field(ge=2, le=1000)] = 3
    """ASHA lets one trial in this many continue past a rung, and multiplies the epochs by it from one rung to the
    next; 3 by default."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _listed(name, SCHEDULERS, "scheduler")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which ASHA compares trials; none with another scheduler."""
        return rung_epochs(self.grace_period, self.reduction_factor, self.max_epochs) if self.name == "asha" else ()

    @model_validator(mode="after")
    def _grace(self) -> "SchedulerSpec":
        if self.name == "asha" and self.max_epochs < self.grace_period:
            raise ValueError(
                f"max_epochs {self.max_epochs} is below grace_period {self.grace_period}: raise one or lower the other"
            )
        return self


class BudgetSpec(Section):
    """`budget`: when the search ends, and how much it may use at a time."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The number of trials. It must be given unless the space is a grid, which by default is tried as a whole."""
    hours: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """The hours of wall time after which the search starts no more trials, added up over all resumes; confirmation is
    not counted. By default there is no limit."""
    concurrent: Literal["auto"] | Annotated[int, Field(ge=1, le=10_000)] = "auto"
    """The number of trials that run at a time; by default (`auto`) as many as the machines have room for."""
    checkpoint_bytes: Annotated[int, Field(ge=1, le=10**18)] | None = None
    """The bytes that all checkpoints together may take on the disk; by default there is no limit. Checkpoints of ended
    trials are removed first, the worst trials' before others; where the running trials alone need more, the search
    ends, to be resumed with a larger budget."""


Cpus = Annotated[int, Field(ge=1, le=10_000)]
Gpus = Literal["auto"] | Annotated[float, Field(ge=0, le=10_000)]


class ShareSpec(Section):
    """`resources.MODEL`: what each trial of one model is given, where it differs from the other models."""

    cpu: Cpus | None = None
    """The CPU cores of a trial of this model; by default those of `resources`."""
    gpu: Gpus | None = None
    """The GPUs of a trial of this model, or `auto`; by default those of `resources`."""

    @field_validator("gpu")
    @classmethod
    def _whole(cls, gpu: Gpus | None) -> Gpus | None:
        if isinstance(gpu, float) and gpu > 1 and gpu % 1:
            raise ValueError(f"must be a whole number above 1, or a part of one GPU below it, not {gpu:g}")
        return gpu


class ResourcesSpec(ShareSpec):
    """`resources`: what each trial is given. Beside these keys it may have `default` and models, each a `ShareSpec`."""

    cpu: Cpus = 1
    """The CPU cores of a trial; 1 by default."""
    gpu: Gpus = "auto"
    """The GPUs of a trial: a whole number, or a part of one such as 0.25, which trials share. By default (`auto`) as
    many trials share a GPU as its memory has room for, measured; without a GPU they train on the CPU."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 2
    """How often a trial continues from its last epoch after its worker process has died; 2 by default."""


class TrackingSpec(Section):
    """`tracking`: where MLflow keeps the record of the search."""

    uri: str | None = None
    """The address of the MLflow server, or of a file such as sqlite:///mlflow.db. By default it is
    MLFLOW_TRACKING_URI, else the file mlflow.db in the working folder."""
    register_as: str | None = Field(default=None, alias="register")
    """The name of the registered model that the winner becomes a version of, with the alias `champion`. By default
    nothing is registered."""
    required: bool = True
    """Whether the search is refused when the server does not answer, as by default; with false it begins, and sends
    its record later."""

    @field_validator("register_as")
    @classmethod
    def _as_mlflow_takes_it(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[^/:]{1,100}", name):
            raise ValueError(f"must be a name of at most 100 characters without '/' and ':', not {name!r}")
        return name


class ConfirmSpec(Section):
    """`confirm`: how the best trials are retrained on fresh seeds and scored on the test set; null for not at all."""

    top: Annotated[int, Field(ge=1, le=1000)] = 3
    """The number of best trials that are retrained, and whose weights are kept; 3 by default."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """The number of fresh seeds that each of them is retrained on; 3 by default."""


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
        raise ValueError(f"no {what} {name!r}{nearest(name, known)}; there is: {', '.join(known)}")
    return name


def rung_epochs(grace_period: int, reduction_factor: int, max_epochs: int) -> tuple[int, ...]:
    """The epochs after which trials are compared: grace_period * reduction_factor**n, below the last epoch."""
    epochs, epoch = [], grace_period
    while epoch < max_epochs:
        epochs.append(epoch)
        epoch *= reduction_factor
    return tuple(epochs)
