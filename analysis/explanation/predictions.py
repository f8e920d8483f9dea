"""What the winning models say of images that they were not trained on: computed once, shared by all that shows it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Missing
from analysis.record import Record

if TYPE_CHECKING:
    from analysis.explanation.saved_model import SavedModel

WEIGHTS, LONGEST_NAME = "weights.pt", 22


@dataclass(frozen=True)
class Predictions:
    """Of the winner's models, a seed each; the first of them is `the model` where one alone is shown."""

    models: list["SavedModel"]
    """By seed."""
    probabilities: list[np.ndarray]
    """Of each model float32 [N, classes]."""
    labels: np.ndarray
    """int64 [N]"""
    classes: tuple[str, ...]
    images: str
    """Which ones they are, in words: `10,000 test images`."""
    model_name: str
    """The model, in words."""
    part: np.ndarray
    """uint8 [M, H, W, C]: the images of the data set's part that they belong to."""
    indices: np.ndarray
    """int64 [N]: which of these they are."""

    @property
    def model(self) -> "SavedModel":
        """The one with the lowest seed."""
        return self.models[0]

    @cached_property
    def predicted(self) -> np.ndarray:
        """The model's: int64 [N]."""
        return self.probabilities[0].argmax(1)

    @cached_property
    def confidence(self) -> np.ndarray:
        """The model's probability of the class that it predicts: float32 [N]."""
        return self.probabilities[0].max(1)

    @cached_property
    def right(self) -> np.ndarray:
        """Where the model is: bool [N]."""
        return self.predicted == self.labels

    @cached_property
    def counts(self) -> np.ndarray:
        """The model's confusion matrix, images by true and predicted class: int64 [classes, classes]."""
        size = len(self.classes)
        return np.bincount(self.labels * size + self.predicted, minlength=size**2).reshape(size, size)

    def surest(self, among: np.ndarray) -> np.ndarray:
        """Of the images marked in bool [N], the places from 0: those first that the model is most confident of."""
        places = among.nonzero()[0]
        return places[np.argsort(-self.confidence[places], kind="stable")]

    def caption(self, i: int) -> tuple[str, str]:
        """What the model predicts of an image, how surely, and whether that is so."""
        truth = "right" if self.right[i] else f"truly {self.classes[self.labels[i]]}"
        return f"{percent(self.confidence[i])}: {self.classes[self.predicted[i]]}", truth

    def pictures(self, chosen: np.ndarray) -> np.ndarray:
        """Some of the images: uint8 [n, H, W, C]."""
        return self.part[self.indices[chosen]]


@lru_cache(maxsize=1)
def predictions(record: Record) -> Predictions:
    """Of the confirmed winner's models on the test set, else of the best trial's on the validation set.

    The test set is there for confirmed settings alone.

    Raises:
        Missing: weights or images cannot be had.
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
    """The files of the winner's weights by seed, the lowest seed first.

    Raises:
        Missing: no trial has a result, or the files are gone.
    """
    runs, files = record.winner.sort_values("seed"), {}
    for run_id, seed in zip(runs["run_id"], runs["seed"].astype(int), strict=True):
        try:
            files[seed] = record.artifact(run_id, WEIGHTS)
        except Missing as error:
            raise Missing(
                f"The weights of the winner with seed {seed} are not in MLflow, which gets them when a search has "
                f"ended. {error}"
            ) from error
    return files


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """A class's name as an axis has room for: its middle is left out, for similar ones often begin alike."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[: longest - half - 1]}…{name[-half:]}"


def percent(part: float) -> str:
    """0.5 as `50.0 %`."""
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
