"""Networks of libraries fitted to a data set: first layer, last layer, weights from elsewhere, frozen parts."""

import os
from typing import Any

import torch
from torch import nn

from contract.formatting import first_line
from trainables.errors import ModelError

NONE, IMAGENET = "none", "imagenet"


def check_options(weights: str, frozen: bool) -> None:
    """Refuse what cannot be.

    Raises:
        ModelError: the file of weights is not there, or random weights would be frozen.
    """
    if weights not in (NONE, IMAGENET) and not os.path.isfile(weights):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        raise ModelError(f"weights: no file {weights}: name one, or imagenet (downloaded), or none")
    if frozen and weights == NONE:
        raise ModelError("frozen needs weights: imagenet or a file; there is no use in freezing random ones")


def not_downloaded(what: str, error: Exception) -> ModelError:
    """What to raise where there is no network."""
    return ModelError(
        f"weights of {what} could not be downloaded ({first_line(error)}): give a file with weights: PATH, or none"
    )


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """A state dict from a file of torch's or safetensors', as it is or under `state_dict` or `model`.

    What a run of this project has saved is read too, of a frozen network as of the others.

    Raises:
        ModelError: it cannot be read, or holds none.
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
    """Give a classifier a new last layer, linear or a convolution, for so many classes; the layer's name."""
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    name, old = layers[-1]
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    else:
        new = nn.Conv2d(old.in_channels, num_classes, old.kernel_size, bias=old.bias is not None)  # type: ignore[arg-type]
    _put(model, name, new)
    return name


def load_weights(model: nn.Module, weights: dict[str, torch.Tensor], heads: tuple[str, ...], source: str) -> None:
    """Fill a model in; a head keeps its fresh weights unless the other one has as many classes.

    Raises:
        ModelError: the weights are of another network.
    """
    own, first = model.state_dict(), f"{_first_convolution(model)}.weight"
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
    """Make the first convolution take images of so many channels, with fresh weights."""
    name = _first_convolution(model)
    old = model.get_submodule(name)
    assert isinstance(old, nn.Conv2d)  # noqa: S101 (for the type checker: it was found as one)
    if old.in_channels != channels:
        new = nn.Conv2d(
            channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation,  # type: ignore[arg-type]
            bias=old.bias is not None,
        )  # fmt: skip
        _put(model, name, new)


def _first_convolution(model: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if isinstance(module, nn.Conv2d))


def _for_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A first convolution's weights for another number of channels.

    For grey images they are summed over the colours, so that a grey image in colour gives the same; for other
    numbers they are those of the colours over and over, scaled to the same sum.
    """
    had = weight.shape[1]
    if channels == had:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % had] * (had / channels)


class Frozen(nn.Module):
    """A network of which only the head is trained: the rest stays in evaluation mode, batch statistics included."""

    def __init__(self, model: nn.Module, heads: tuple[str, ...]):
        """Args: heads: the names of its last layers, of which most have one."""
        super().__init__()
        self.model, self.heads = model.requires_grad_(False), heads
        for head in heads:
            model.get_submodule(head).requires_grad_(True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the network."""
        return self.model(x)

    def train(self, mode: bool = True) -> "Frozen":
        """The head alone changes its mode."""
        super().train(False)
        self.training = mode
        for head in self.heads:
            self.model.get_submodule(head).train(mode)
        return self


def _put(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
