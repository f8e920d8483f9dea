"""What the winning models predict for images that they were not trained on: computed once for all figures."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import Missing
from analysis.record import Record
from contract.record import WEIGHTS_FILE

if TYPE_CHECKING:
    from analysis.explanation.saved_model import SavedModel

MAX_NAME_LENGTH = 22
"""Letters of a class's name on an axis."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Predictions:
    """The predictions of the winner's models, one for each seed; `the model` is the first of them."""

    models: list["SavedModel"]
    """The models, by seed."""
    probabilities: list[Array]
    """Each model's probabilities of the classes: float32 [N, classes]."""
    labels: Array
    """The true classes: int64 [N]."""
    classes: tuple[str, ...]
    """The names of the classes."""
    images: str
    """Which images they are, in words: `10,000 test images`."""
    model_name: str
    """The model, in words."""
    part: Array
    """All images of the data set's part that the predicted ones belong to: uint8 [M, H, W, C]."""
    indices: Array
    """Which of these were predicted: int64 [N]."""

    @property
    def model(self) -> "SavedModel":
        """The model with the lowest seed."""
        return self.models[0]

    @cached_property
    def predicted(self) -> Array:
        """The classes that the model predicts: int64 [N]."""
        return np.asarray(self.probabilities[0].argmax(1))

    @cached_property
    def confidence(self) -> Array:
        """The model's probability of the class that it predicts: float32 [N]."""
        return np.asarray(self.probabilities[0].max(1))

    @cached_property
    def right(self) -> Array:
        """Where the model is right: bool [N]."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def counts(self) -> Array:
        """The model's confusion matrix, images by true and predicted class: int64 [classes, classes]."""
        size = len(self.classes)
        return np.bincount(self.labels * size + self.predicted, minlength=size**2).reshape(size, size)

    def surest(self, among: Array) -> Array:
        """Sort the images marked in bool [N] by the model's confidence, the highest first: their places in 0..N-1."""
        places: Array = among.nonzero()[0]
        return places[np.argsort(-self.confidence[places], kind="stable")]

    def caption(self, i: int) -> tuple[str, str]:
        """Say what the model predicts for an image, with which probability, and what is true."""
        truth = "right" if self.right[i] else f"true: {self.classes[self.labels[i]]}"
        return f"{percent(self.confidence[i])}: {self.classes[self.predicted[i]]}", truth

    def pictures(self, chosen: Array) -> Array:
        """Some of the images: uint8 [n, H, W, C]."""
        return np.asarray(self.part[self.indices[chosen]])


@lru_cache(maxsize=1)
def predictions(record: Record) -> Predictions:
    """Have the confirmed winner's models predict the test set, else the best trial's the validation set.

    The test set is there for confirmed settings alone.

    Raises:
        Missing: weights or images are not there.
    """
    files = weights(record)
    from analysis.explanation import saved_model  # here: it takes torch, and seconds

    models = saved_model.load(record, files)
    first, parts = models[0], models[0].data
    whose = f"trial {record.winner['number'].iloc[0]}"
    if record.confirmed:
        part, indices = "test", np.arange(len(parts.data.test_labels))
        images = f"{len(indices):,} test images"
        whose += f" retrained with seed {first.seed}"
    else:
        part, indices = parts.validation_part, parts.validation
        images = f"{len(indices):,} validation images"
    return Predictions(
        models=models,
        probabilities=[_probabilities(model, tested=bool(record.confirmed)) for model in models],
        labels=getattr(parts.data, f"{part}_labels")[indices],
        classes=parts.data.classes,
        images=images,
        model_name=whose,
        part=getattr(parts.data, f"{part}_images"),
        indices=indices,
    )


def weights(record: Record) -> dict[int, Path]:
    """Fetch the files of the winner's weights, by seed, the lowest seed first.

    Raises:
        Missing: no trial has a result, or the files are gone.
    """
    runs, files = record.winner.sort_values("seed"), {}
    for run_id, seed in zip(runs["run_id"], runs["seed"].astype(int), strict=True):
        try:
            files[seed] = record.artifact(run_id, WEIGHTS_FILE)
        except Missing as error:
            raise Missing(
                f"The weights of the winner with seed {seed} are not in MLflow, to which they are sent when a search "
                f"has ended. {error}"
            ) from error
    return files


def short(name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Shorten a class's name to what an axis has room for, in its middle, for similar names often begin alike."""
    half = max_length // 2
    return name if len(name) <= max_length else f"{name[: max_length - half - 1]}…{name[-half:]}"


def percent(part: float) -> str:
    """A share (0..1) as `50.0 %`."""
    return f"{100 * part:.1f} %"


def _probabilities(model: "SavedModel", *, tested: bool) -> np.ndarray:
    import torch

    from trainables.precision import autocast_for

    batches = model.loader.test() if tested else model.loader.validation()
    found = []
    with torch.inference_mode():
        for images, _ in batches:
            with autocast_for(model.config, model.device):
                scores = model.network(images)
            found.append(scores.float().softmax(1).cpu().numpy())
    return np.concatenate(found)
