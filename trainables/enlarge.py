"""An enlargement of the training set: an epoch has every variant of every image once.

The stochastic-pooling study of flowers (R2 in docs/reference_results.md) did so: rotations by -15..15
degrees in steps of 1 and gamma corrections by 0.7..1.3 in steps of 0.02, each without the one that
changes nothing, make 18,300 images of 300. The variants are computed batch by batch, on the device.
"""

from typing import TYPE_CHECKING

from trainables.config import TrainConfig, parts

if TYPE_CHECKING:
    import torch

AMOUNTS = {
    "gamma": tuple(1 + step / 50 for step in range(-15, 16) if step),
    "rotate": tuple(float(degrees) for degrees in range(-15, 16) if degrees),
}
"""The amounts of the variants that an enlargement adds to an image: exponents of gamma, degrees of rotate."""


def variants(config: TrainConfig) -> int:
    """Count the variants of an image, itself included."""
    return 1 + sum(len(AMOUNTS[name]) for name in parts(config.enlarge))


def enlarge(images: "torch.Tensor", variant: "torch.Tensor", config: TrainConfig) -> "torch.Tensor":
    """Turn each image into one of its variants.

    Args:
        images: uint8 [B, H, W, C].
        variant: int64 [B], below `variants(config)`; 0 is the image itself.
        config: names the enlargements.

    Returns:
        uint8 [B, H, W, C].
    """
    import torch  # imported here, for the check of a spec calls `variants` and need not wait for torch

    from trainables import transforms

    result, first = images.clone(), 1
    for name in parts(config.enlarge):
        amounts = torch.tensor(AMOUNTS[name], device=images.device)
        chosen = ((variant >= first) & (variant < first + len(amounts))).nonzero()[:, 0]
        if len(chosen):
            result[chosen] = getattr(transforms, name)(images[chosen], amounts[variant[chosen] - first])
        first += len(amounts)
    return result
