"""What fits a network of a library to a data set: first layer, last layer, weights from a file, frozen parts."""

import os
from typing import Any

import torch
from torch import nn

from contract.formatting import first_line
from trainables.errors import ModelError

NONE, IMAGENET = "none", "imagenet"


def check_options(weights: str, frozen: bool) -> None:
    """Refuse options that make no sense.

    Args:
        weights: none, imagenet, or a file with a state dict.
        frozen: whether the last layer alone is trained.

    Raises:
        ModelError: the file of weights is not there, or random weights would be frozen.
    """
    if weights not in (NONE, IMAGENET) and not os.path.isfile(weights):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        raise ModelError(f"weights: no file {weights}: name one, or imagenet (downloaded), or none")
    if frozen and weights == NONE:
        raise ModelError("frozen needs weights: imagenet or a file; there is no use in freezing random ones")


def download_error(what: str, error: Exception) -> ModelError:
    """Make the error to raise where weights cannot be downloaded."""
    return ModelError(
        f"weights of {what} could not be downloaded ({first_line(error)}): give a file with weights: PATH, or none"
    )


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """Read a state dict from a file of torch or safetensors, which has it as it is or under `state_dict` or `model`.

    Checkpoints of this project can be read too, those of frozen networks included.

    Raises:
        ModelError: the file cannot be read, or holds no state dict.
    """
    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ModelError(f"weights: {path} cannot be read as a state dict ({first_line(error)})") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    named = isinstance(content, dict) and content and all(isinstance(v, torch.Tensor) for v in content.values())
    if not named:
        raise ModelError(f"weights: {path} holds no state dict")
    frozen = all(key.startswith("model.") for key in content)
    return {key.removeprefix("model."): value for key, value in content.items()} if frozen else content


def replace_head(model: nn.Module, num_classes: int) -> str:
    """Give a classifier a new last layer, linear or a convolution, for so many classes; return the layer's name."""
    layers: list[tuple[str, nn.Linear | nn.Conv2d]] = [
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    name, old = layers[-1]
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    else:
        new = nn.Conv2d(old.in_channels, num_classes, _pair(old.kernel_size), bias=old.bias is not None)
    _replace_module(model, name, new)
    return name


def load_weights(model: nn.Module, weights: dict[str, torch.Tensor], heads: tuple[str, ...], source: str) -> None:
    """Load weights into a model; a head keeps its random weights unless the file's are for as many classes.

    Args:
        model: its random weights are replaced.
        weights: a state dict.
        heads: names of the last layers.
        source: where the weights are from, for the message.

    Raises:
        ModelError: the weights are of another network.
    """
    own, first = model.state_dict(), f"{_first_convolution(model)[0]}.weight"
    if first in weights and first in own:
        weights = {**weights, first: _for_channels(weights[first], own[first].shape[1])}
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    lacking = sorted(key for key in own if key not in fitting and key.rpartition(".")[0] not in heads)
    if lacking:
        raise ModelError(
            f"weights: {source} is of another network, or for images of another size: "
            f"it has no {lacking[0]} of the right shape"
        )
    model.load_state_dict(fitting, strict=False)


def set_channels(model: nn.Module, channels: int) -> None:
    """Replace the first convolution by a random one if images have another number of channels than it takes."""
    name, old = _first_convolution(model)
    if old.in_channels != channels:
        padding = old.padding if isinstance(old.padding, str) else _pair(old.padding)
        geometry = (_pair(old.kernel_size), _pair(old.stride), padding, _pair(old.dilation))
        new = nn.Conv2d(channels, old.out_channels, *geometry, bias=old.bias is not None)
        _replace_module(model, name, new)


def _first_convolution(model: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))


def _for_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Return a first convolution's weights for another number of channels.

    For one channel they are summed over the colours, so that a grey image gives what it gives in three equal colours;
    for other numbers the weights of the colours are repeated in turn, scaled to the same sum.
    """
    weight_channels = weight.shape[1]
    if channels == weight_channels:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % weight_channels] * (weight_channels / channels)


class Frozen(nn.Module):
    """A network whose head alone is trained: the rest stays in evaluation mode, batch statistics included."""

    def __init__(self, model: nn.Module, heads: tuple[str, ...]):
        """Freeze all of a network but its last layers.

        Args:
            model: the network.
            heads: the names of its last layers; most networks have one.
        """
        super().__init__()
        self.model, self.heads = model.requires_grad_(False), heads
        for head in heads:
            model.get_submodule(head).requires_grad_(True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the network."""
        output: torch.Tensor = self.model(x)
        return output

    def train(self, mode: bool = True) -> "Frozen":
        """Put the head, and nothing else, into training mode or out of it."""
        super().train(False)
        self.training = mode
        for head in self.heads:
            self.model.get_submodule(head).train(mode)
        return self


def _pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    """Return a size of a convolution as the two numbers that it is; torch's types say any number."""
    rows, columns = sizes
    return rows, columns


def _replace_module(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
