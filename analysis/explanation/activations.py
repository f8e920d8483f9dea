"""What happens inside a network: Grad-CAM, and the feature maps after each convolution."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from analysis.errors import Missing

NO_CONVOLUTION = "The model has no convolution: there are no feature maps to show."


def grad_cam(network: nn.Module, inputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Where the evidence for a class lies (Selvaraju et al. 2017, section 3, equations 1 and 2).

    The feature maps are the last convolution's after all that keeps their height and width: normalisation,
    rectification, a shortcut or other branches. Each is weighted by the mean gradient of the class's score with
    respect to it.

    Args:
        network: in evaluation mode.
        inputs: float32 [B, C, H, W], normalised.
        classes: int64 [B].

    Returns:
        float32 [B, H, W] on the CPU: 1 at an image's strongest place; all 0 where nothing speaks for the class.

    Raises:
        Missing: the network has no convolution.
    """
    seen: list[tuple[nn.Module, torch.Tensor]] = []
    with torch.enable_grad(), _watched(network, nn.Module, lambda _, module, output: seen.append((module, output))):
        # The inputs ask for gradients because the weights of a network may be frozen.
        score = network(inputs.detach().requires_grad_()).gather(1, classes[:, None]).sum()
    maps = _last_maps(seen)
    (gradient,) = torch.autograd.grad(score, maps)
    weighted = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    size = (inputs.shape[2], inputs.shape[3])
    large = F.interpolate(weighted.float(), size, mode="bilinear", align_corners=False)[:, 0].cpu()
    return large / large.amax((1, 2), keepdim=True).clamp_min(torch.finfo(large.dtype).tiny)


@torch.no_grad()
def feature_maps(network: nn.Module, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Collect the output of each convolution by its name, in the order in which they compute.

    Args:
        network: in evaluation mode.
        inputs: float32 [B, C, H, W], normalised.

    Returns:
        float32 [B, channels, height, width] each, on the CPU.

    Raises:
        Missing: the network has no convolution.
    """
    found: dict[str, torch.Tensor] = {}

    def keep(name: str, _module: nn.Module, output: torch.Tensor) -> None:
        found[name] = output.float().cpu().clone()  # a ReLU may overwrite it

    with _watched(network, nn.Conv2d, keep):
        network(inputs)
    if not found:
        raise Missing(NO_CONVOLUTION)
    return found


@contextmanager
def _watched(
    network: nn.Module, kind: type[nn.Module], see: Callable[[str, nn.Module, torch.Tensor], None]
) -> Iterator[None]:
    """Pass every output [B, C, H, W] of the modules of a kind to `see`, in the order in which they compute."""

    def hook(name: str, module: nn.Module, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            see(name, module, output)

    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: hook(name, module, output))
        for name, module in network.named_modules()
        if isinstance(module, kind)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _last_maps(seen: list[tuple[nn.Module, torch.Tensor]]) -> torch.Tensor:
    """Choose the maps of the last convolution; of the last with more than one place, where there is one."""
    convolutions = [i for i, (module, _) in enumerate(seen) if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise Missing(NO_CONVOLUTION)
    last = max(convolutions, key=lambda i: (seen[i][1][0, 0].numel() > 1, i))
    size = seen[last][1].shape[2:]
    return [output for _, output in seen[last:] if output.shape[2:] == size][-1]
