"""Every hyperparameter of one training run: its unit, its limits and when it has an effect.

This module imports nothing heavy: specs are checked against it before torch is loaded.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from contract.metrics import VAL_ACCURACY, VAL_LOSS

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "halving", "one_cycle", "step")
LOSSES = ("cross_entropy", "squared_error")
AUGMENTATIONS = ("crop", "flip", "gamma", "jitter", "rotate", "scale", "shift")
ENLARGEMENTS = ("gamma", "rotate")
NORMALIZATIONS = ("dataset", "half", "imagenet", "none")
EARLY_STOPPING = ("none", VAL_ACCURACY, VAL_LOSS)
PRECISIONS = ("auto", "bfloat16", "float32")


class ConfigError(ValueError):
    """A configuration cannot be trained."""

    def __init__(self, problems: Mapping[str, str]):
        """Keep what is wrong with each field, by its name, as the attribute `problems`."""
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.problems.items()))


def _number(default: float, low: float, high: float = math.inf, *, open_low: bool = False, when: Any = None) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "open_low": open_low, "when": when or {}})


def _one_of(default: str, names: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"names": names, "when": {}})


def _joined(parts: tuple[str, ...]) -> Any:
    return field(default="none", metadata={"parts": parts, "when": {}})


def _flag(when: Any = None) -> Any:
    return field(default=False, metadata={"when": when or {}})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The configuration of one training run.

    Construction raises `ConfigError`, naming every field that is out of bounds.
    """

    model: str = field(default="lenet", metadata={"when": {}})
    """A file in `trainables/models/`, or `torchvision/NAME`, `timm/NAME`, or own code (`mynets.wide`)."""
    model_options: Mapping[str, Any] = field(default_factory=dict, metadata={"when": {}})
    """Keyword arguments for the `build` of that model."""
    epochs: int = _number(20, 1)
    """Passes over the training images."""
    batch_size: int = _number(128, 1)
    """Images that an optimizer step takes."""
    optimizer: str = _one_of("adam", OPTIMIZERS)
    """adam, adamw (decoupled weight decay) or sgd."""
    lr: float = _number(1e-3, 0, open_low=True)
    """Base learning rate, before warm-up and decay."""
    momentum: float = _number(0.9, 0, 1, when={"optimizer": ("sgd",)})
    """The fraction of the last step that the next one keeps."""
    nesterov: bool = _flag(when={"optimizer": ("sgd",)})
    """Look ahead along the momentum; needs momentum above 0."""
    weight_decay: float = _number(0.0, 0)
    """L2 penalty (adam, sgd) or decoupled decay (adamw), per step and unit of lr."""
    clip_norm: float = _number(0.0, 0)
    """Gradients are scaled down to at most this norm, taken over all parameters; 0: not clipped."""
    loss: str = _one_of("cross_entropy", LOSSES)
    """cross_entropy of the softmax, or squared_error of the outputs against the one-hot labels, summed over classes."""
    label_smoothing: float = _number(0.0, 0, 1, when={"loss": ("cross_entropy",)})
    """The part of each label that is spread evenly over all classes, in training only."""
    schedule: str = _one_of("step", SCHEDULES)
    """How lr changes: step, halving, cosine, one_cycle (up, then down) or constant."""
    decay_interval: int = _number(5, 1, when={"schedule": ("halving", "step")})
    """Epochs between two decays: lr * decay_factor ** (epoch // decay_interval); the factor of halving is 0.5."""
    decay_factor: float = _number(0.1, 0, 1, open_low=True, when={"schedule": ("step",)})
    """What lr is multiplied by at each decay."""
    lr_floor: float = _number(0.0, 0, when={"schedule": ("cosine", "halving", "step")})
    """lr never decays below this."""
    warmup_epochs: int = _number(0, 0)
    """Epochs over which lr rises linearly from 0; the decay runs on underneath."""
    early_stopping: str = _one_of("none", EARLY_STOPPING)
    """The metric that ends training once it no longer improves, or none."""
    patience: int = _number(10, 1, when={"early_stopping": EARLY_STOPPING[1:]})
    """Early stopping: training ends after so many epochs in a row without an improvement."""
    tolerance: float = _number(0.0, 0, when={"early_stopping": EARLY_STOPPING[1:]})
    """Early stopping: an improvement by no more than this does not count; accuracies are 0..1."""
    refit_last_layer: bool = _flag()
    """Whether the last linear layer is refitted when training ends: by least squares, to the one-hot labels."""
    augment: str = _joined(AUGMENTATIONS)
    """`none`, or names joined by `+`, applied in that order: `flip+crop`."""
    crop_padding: int = _number(4, 1, when={"augment": ("crop",)})
    """Pixels of black around an image before a random window of its size is cut out."""
    rotate_degrees: float = _number(10.0, 0, 180, open_low=True, when={"augment": ("rotate",)})
    """Images are turned by up to so many degrees, either way."""
    shift_fraction: float = _number(0.1, 0, 1, open_low=True, when={"augment": ("shift",)})
    """Images are moved by up to this part of their height and width."""
    scale_range: float = _number(0.1, 0, 0.9, open_low=True, when={"augment": ("scale",)})
    """Images are resized about their middle by a factor in 1 -+ this."""
    gamma_range: float = _number(0.3, 0, 0.9, open_low=True, when={"augment": ("gamma",)})
    """Brightness (0..1) is raised to a power in 1 -+ this."""
    jitter_strength: float = _number(0.2, 0, 1, open_low=True, when={"augment": ("jitter",)})
    """Brightness, contrast and saturation are each multiplied by a factor in 1 -+ this."""
    enlarge: str = _joined(ENLARGEMENTS)
    """An epoch has every variant of every image: `rotate` by -15..15 degrees, `gamma` 0.7..1.3; `rotate+gamma`
    makes 61 images of one."""
    resize: int = _number(0, 0)
    """Pixels a side that images are resized to after their augmentation; 0: left as they are."""
    normalize: str = _one_of("dataset", NORMALIZATIONS)
    """Channels to mean 0 and std 1 by the training set's statistics, by ImageNet's, by 0.5 and 0.5 (`half`), or left
    in 0..1."""
    train_fraction: float = _number(1.0, 0, 1, open_low=True)
    """The part of each class's training images that is used; a smaller part lies inside a larger one."""
    precision: str = _one_of("auto", PRECISIONS)
    """bfloat16 mixed precision, float32, or auto: bfloat16 on a GPU that has it."""
    seed: int = _number(0, 0)
    """Seeds the initial weights, the order of the images, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        problems = {}
        for name in FIELDS:
            text = problem(name, getattr(self, name))
            if text:
                problems[name] = text
        if not problems and self.nesterov and self.optimizer == "sgd" and self.momentum == 0:
            problems["nesterov"] = "needs momentum above 0"
        if problems:
            raise ConfigError(problems)
        object.__setattr__(self, "model_options", MappingProxyType(dict(self.model_options)))

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "TrainConfig":
        """Make a configuration from flat hyperparameters: a key that is no field is an option of the model.

        Raises:
            ConfigError: a value is out of bounds.
        """
        own = {key: value for key, value in params.items() if key in FIELDS}
        options = {key: value for key, value in params.items() if key not in FIELDS}
        return cls(**own, model_options=options)

    def in_effect(self) -> dict[str, Any]:
        """Return the hyperparameters that this run really uses, flat: no momentum where the optimizer is adam."""
        used = {name: getattr(self, name) for name in FIELDS if self._applies(name)}
        return used | dict(self.model_options)

    def _applies(self, name: str) -> bool:
        return all(applies(getattr(self, key), allowed) for key, allowed in FIELDS[name].metadata["when"].items())


FIELDS = {f.name: f for f in fields(TrainConfig) if f.name != "model_options"}
"""The hyperparameters by name; `model_options` is spread over the model's own keywords instead."""


def applies(value: Any, allowed: tuple[Any, ...]) -> bool:
    """Say whether a value meets one condition of a `when`; of a joined value (`flip+crop`) one part is enough."""
    return value in allowed or (isinstance(value, str) and any(part in allowed for part in value.split("+")))


def problem(name: str, value: Any) -> str | None:
    """Say what is wrong with one value of one field; None if nothing is."""
    spec = FIELDS[name]
    kind = type(spec.default)
    if kind in (int, float) and isinstance(value, int | float) and abs(value) > sys.float_info.max:
        return f"must be finite, not {value!r:.20}"
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if text := kind_problem(kind, value):
        return text
    if "parts" in spec.metadata:
        return _parts_problem(str(value), spec.metadata["parts"])
    if "names" in spec.metadata and value not in spec.metadata["names"]:
        return f"must be one of {', '.join(spec.metadata['names'])}, not {value!r}"
    if "low" in spec.metadata:
        return _bounds_problem(value, **{key: spec.metadata[key] for key in ("low", "high", "open_low")})
    return None


def kind_problem(kind: type, value: Any) -> str | None:
    """Say what is wrong with the type of a value; None if nothing is.

    A whole number is a number too; true and false are not.
    """
    if type(value) is kind or (kind is float and type(value) is int):
        return None
    return f"must be {KINDS[kind]}, not {value!r}"


def parts(joined: str) -> list[str]:
    """Split a value into the names that `+` joins: `none` has no names."""
    return [] if joined == "none" else joined.split("+")


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}
"""What the type of a value is called in a message."""


def _bounds_problem(value: Any, low: float, high: float, open_low: bool) -> str | None:
    if not math.isfinite(value):
        return f"must be finite, not {value!r}"
    if value < low or value > high or (open_low and value == low):
        floor = f"above {low:g}" if open_low else f"at least {low:g}"
        ceiling = f" and at most {high:g}" if math.isfinite(high) else ""
        return f"must be {floor}{ceiling}, not {value!r}"
    return None


def _parts_problem(value: str, known: tuple[str, ...]) -> str | None:
    names = parts(value)
    if any(name not in known for name in names) or len(set(names)) < len(names):
        return f"must be none, or some of {', '.join(known)} joined by '+', not {value!r}"
    return None
