"""Mixed precision: bfloat16 where the configuration wants it and the device has it."""

from functools import cache

import torch

from trainables.config import TrainConfig


def autocast_for(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Return the context in which a forward pass has the precision that the configuration wants on this device."""
    auto = config.precision == "auto" and device.type == "cuda" and _gpu_has_bfloat16()
    return torch.autocast(device.type, torch.bfloat16, enabled=auto or config.precision == "bfloat16")


@cache
def _gpu_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported())
