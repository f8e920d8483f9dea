"""Changes to whole batches of images, each image by an amount of its own.

All functions take and return uint8 images [B, H, W, C], and agree with the functions of the same meaning in
`torchvision.transforms.v2.functional`, which take one amount for a whole batch, to one grey level (to two where
contrast or saturation fall below a half: torchvision rounds down in between).
"""

import torch
import torch.nn.functional as F

LUMINANCE = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in the luminance (ITU-R BT.601)."""


def rotate(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Turn counter-clockwise about the middle by `degrees` (float [B]), bilinear, black where nothing was."""
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _affine(images, torch.stack([cos, -sin, zero, sin, cos, zero], 1))


def shift(images: torch.Tensor, columns: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Move right and down by so many pixels (both float [B]), bilinear, black where nothing was."""
    one, zero = torch.ones_like(columns), torch.zeros_like(columns)
    return _affine(images, torch.stack([one, zero, -columns, zero, one, -rows], 1))


def scale(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Resize about the middle by `factors` (float [B]), bilinear; larger images are cut, smaller ones padded black."""
    zero = torch.zeros_like(factors)
    return _affine(images, torch.stack([1 / factors, zero, zero, zero, 1 / factors, zero], 1))


def gamma(images: torch.Tensor, exponents: torch.Tensor) -> torch.Tensor:
    """Raise values (0..1) to the power of `exponents` (float [B]): above 1 is darker."""
    levels = torch.arange(256, device=images.device) / 255
    table = _to_bytes(255 * levels ** exponents[:, None])
    image = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1)
    return table[image, images.long()]


def brightness(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply all values by `factors` (float [B]): 0 is black."""
    return _to_bytes(images * _per_image(factors))


def contrast(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply the distance from the image's mean luminance by `factors` (float [B]): 0 is plain grey."""
    return _blended(images, _luminance(images).mean((1, 2, 3), keepdim=True), factors)


def saturation(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply the distance from each pixel's luminance by `factors` (float [B]): 0 is without colour."""
    return _blended(images, _luminance(images), factors)


def _affine(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Sample each pixel at `matrix @ (x, y, 1)`, in pixels from the middle.

    Args:
        images: uint8 [B, H, W, C].
        matrices: float [B, 6], row by row.
    """
    height, width = images.shape[1:3]
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    a, b, c, d, e, f = matrices.T[..., None, None]
    places = torch.stack([(a * x + b * y[:, None] + c) * 2 / width, (d * x + e * y[:, None] + f) * 2 / height], -1)
    pixels = images.permute(0, 3, 1, 2).float()
    return _to_bytes(F.grid_sample(pixels, places, align_corners=False)).permute(0, 2, 3, 1).contiguous()


def _blended(images: torch.Tensor, other: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    factors = _per_image(factors)
    return _to_bytes(images * factors + other * (1 - factors))


def _luminance(images: torch.Tensor) -> torch.Tensor:
    """Compute the luminance of each pixel, which of a grey image is its value: float [B, H, W, 1]."""
    if images.shape[3] == 1:
        return images.float()
    return (images * torch.tensor(LUMINANCE, device=images.device)).sum(3, keepdim=True)


def _per_image(amounts: torch.Tensor) -> torch.Tensor:
    return amounts.view(-1, 1, 1, 1)


def _to_bytes(values: torch.Tensor) -> torch.Tensor:
    return values.round().clamp_(0, 255).byte()
