"""Networks of libraries fitted to a data set: first layer, last layer, weights from elsewhere, frozen parts."""

from pathlib import Path

import torch
from torch import nn

from trainables.errors import ModelError

NONE, IMAGENET = "none", "imagenet"


def check_options(weights: str, frozen: bool) -> None:
    """Refuse what cannot be.

    Raises:
        ModelError: the file of weights is not there, or random weights would be frozen.
    """
    if weights not in (NONE, IMAGENET) and not Path(weights).is_file():
        raise ModelError(f"weights: no file {weights}: name one, or imagenet (downloaded), or none")
    if frozen and weights == NONE:
        raise ModelError("frozen needs weights: imagenet or a file; there is no use in freezing random ones")


def not_downloaded(what: str, error: Exception) -> ModelError:
    """What to raise where there is no network."""
    return ModelError(
        f"weights of {what} could not be downloaded ({first_line(error)}): give a file with weights: PATH, or none"
    )


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """A state dict from a file of torch's, as it is or under `state_dict` or `model`.

    Raises:
        ModelError: it cannot be read, or holds none.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ModelError(f"weights: {path} cannot be read as a state dict ({first_line(error)})") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError(f"weights: {path} holds no state dict")
    return content


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


def load_weights(model: nn.Module, weights: dict[str, torch.Tensor], head: str, source: str) -> None:
    """Fill a model in; the head keeps its fresh weights unless the other one has as many classes.

    Raises:
        ModelError: the weights are of another network.
    """
    own = model.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    lacking = sorted(key for key in own if key not in fitting and not key.startswith(f"{head}."))
    if lacking:
        raise ModelError(f"weights: {source} is of another network: it has no {lacking[0]} of the right shape")
    model.load_state_dict(fitting, strict=False)


def adapt_channels(model: nn.Module, channels: int) -> None:
    """Make the first convolution take grey images, or any number of channels.

    For grey ones its weights are summed over red, green and blue, so that a grey image in colour gives the same;
    for other numbers they are those three over and over, scaled to the same sum.
    """
    name, old = next((name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if old.in_channels == channels:
        return
    new = nn.Conv2d(
        channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )  # fmt: skip
    with torch.no_grad():
        picked = torch.arange(channels) % old.in_channels
        weight = old.weight.sum(1, keepdim=True) if channels == 1 else old.weight[:, picked] * (3 / channels)
        new.weight.copy_(weight)
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    _put(model, name, new)


class Frozen(nn.Module):
    """A network of which only the head is trained: the rest stays in evaluation mode, batch statistics included."""

    def __init__(self, model: nn.Module, head: str):
        """Args: head: the name of its last layer."""
        super().__init__()
        self.model, self.head = model.requires_grad_(False), head
        model.get_submodule(head).requires_grad_(True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the network."""
        return self.model(x)

    def train(self, mode: bool = True) -> "Frozen":
        """The head alone changes its mode."""
        super().train(False)
        self.training = mode
        self.model.get_submodule(self.head).train(mode)
        return self


def first_line(error: Exception) -> str:
    """The beginning of an error's text, of which libraries write pages."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _put(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
