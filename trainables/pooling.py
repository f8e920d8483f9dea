"""Stochastic pooling (Zeiler & Fergus 2013), batched on the device."""

import torch
import torch.nn.functional as F
from torch import nn

MIN_WINDOW_SUM = 1e-12
"""What a window's sum is divided by where all of its activations are 0."""


class StochasticPool2d(nn.Module):
    """A pooling that draws one activation of each window.

    In training an activation is drawn in proportion to its size (section 3, equations 4 and 5). In evaluation the
    output is the mean of each window, weighted by the same probabilities (section 3.2, equation 6). Activations must
    not be negative, as those of a ReLU; a window of zeros gives zero.
    """

    def __init__(self, kernel_size: int, stride: int, padding: int = 0):
        """Set the geometry, in pixels, as of a max pooling; the padding is (kernel_size - 1) // 2 at most."""
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool activations, float [B, C, H, W], to float [B, C, H', W'], the sizes as of a max pooling."""
        if not self.training:
            total = self._mean(x)
            return self._mean(x * x) / total.clamp_min(MIN_WINDOW_SUM)
        return x.flatten(2).gather(2, self._drawn(x.detach()).flatten(2)).view(*x.shape[:2], *self._size(x))

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"

    def _mean(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding)

    def _size(self, x: torch.Tensor) -> tuple[int, int]:
        rows, columns = ((n + 2 * self.padding - self.kernel_size) // self.stride + 1 for n in x.shape[2:])
        return rows, columns

    def _drawn(self, x: torch.Tensor) -> torch.Tensor:
        """Draw the place of an activation in its channel, counted row by row: int64 [B, C, H', W'].

        One pass over the offsets within a window sums it up; a second stops where the running sum first
        exceeds a uniform part of it. Nothing as large as all windows unfolded is ever held.
        """
        k, (rows, columns) = self.kernel_size, self._size(x)
        padded = F.pad(x.float(), (self.padding,) * 4)
        offsets = [(i, j) for i in range(k) for j in range(k)]
        windows = [
            padded[
                :,
                :,
                i : i + self.stride * (rows - 1) + 1 : self.stride,
                j : j + self.stride * (columns - 1) + 1 : self.stride,
            ]
            for i, j in offsets
        ]
        total = torch.zeros_like(windows[0])
        for window in windows:
            total += window
        threshold = torch.rand_like(total).mul_(total)
        counts = torch.uint8 if k * k < 256 else torch.int32
        running, passed = torch.zeros_like(total), torch.zeros_like(total, dtype=counts)
        for window in windows:
            running += window
            passed += ~(running > threshold)
        # A window of zeros, or with a NaN, passes all of its offsets, and so, rarely, does another one by rounding: any
        # place will do.
        middle = (k - 1) // 2
        within = torch.tensor([i * x.shape[3] + j for i, j in [*offsets, (middle, middle)]], device=x.device)
        top = torch.arange(rows, device=x.device)[:, None] * self.stride - self.padding
        left = torch.arange(columns, device=x.device) * self.stride - self.padding
        return within[passed.long()].add_(top * x.shape[3] + left)
