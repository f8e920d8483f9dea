"""Mixed precision."""

import torch

from trainables.config import TrainConfig


def autocast_for(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Mixed precision as the configuration wants it on this device."""
    auto = config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=auto or config.precision == "bfloat16")
