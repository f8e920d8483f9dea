"""Stochastic pooling against its definition, window by window."""

import pytest
import torch
import torch.nn.functional as F

from trainables.pooling import StochasticPool2d

torch.set_num_threads(1)
SIZES = [
    (kernel, stride, padding)
    for kernel, strides in ((1, (1, 2)), (2, (1, 2, 3)), (3, (1, 2, 3)), (4, (2,)), (5, (1, 2)))
    for stride in strides
    for padding in range((kernel - 1) // 2 + 1)
]
sizes = pytest.mark.parametrize(("kernel", "stride", "padding"), SIZES)


def made(*shape: int, seed: int = 0) -> torch.Tensor:
    """As after a ReLU: about half of it zeros, the other values all different."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu()


def windows(x: torch.Tensor, kernel: int, stride: int, padding: int):
    """Each window's image, channel, row and column in the result, its slice of rows and of columns of `x`."""
    height, width = x.shape[2:]
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range((height + 2 * padding - kernel) // stride + 1):
                for j in range((width + 2 * padding - kernel) // stride + 1):
                    top, left = i * stride - padding, j * stride - padding
                    yield (b, c, i, j), slice(max(top, 0), top + kernel), slice(max(left, 0), left + kernel)


@sizes
def test_in_training_an_activation_of_each_window_is_drawn_and_never_a_zero(kernel, stride, padding):
    x = made(3, 2, 9, 11)
    result = StochasticPool2d(kernel, stride, padding)(x)
    for (b, c, i, j), rows, columns in windows(x, kernel, stride, padding):
        window = x[b, c, rows, columns]
        assert (window == result[b, c, i, j]).any()
        assert (result[b, c, i, j] > 0) == window.any()


@sizes
def test_in_evaluation_it_is_the_mean_weighted_by_the_probabilities(kernel, stride, padding):
    x = made(2, 2, 9, 11)
    result = StochasticPool2d(kernel, stride, padding).eval()(x)
    expected = torch.zeros_like(result)
    for place, rows, columns in windows(x, kernel, stride, padding):
        window = x[place[0], place[1], rows, columns].flatten()
        if window.any():
            expected[place] = sum((a / window.sum()) * a for a in window)
    torch.testing.assert_close(result, expected)


@sizes
@pytest.mark.parametrize("shape", [(2, 3, 9, 11), (1, 1, 6, 5), (1, 2, 12, 12)], ids=str)
def test_sizes_are_those_of_a_max_pooling(kernel, stride, padding, shape):
    x = made(*shape)
    expected = F.max_pool2d(x, kernel, stride, padding).shape
    pooling = StochasticPool2d(kernel, stride, padding)
    assert pooling(x).shape == pooling.eval()(x).shape == expected


def assert_drawn_in_proportion(counts: torch.Tensor, activations: torch.Tensor) -> None:
    """Chi-square with so many degrees of freedom less one is below this bound but once in 10,000 times."""
    n, probabilities = counts.sum(), activations / activations.sum()
    assert not counts[probabilities == 0].any()
    counts, probabilities = counts[probabilities > 0], probabilities[probabilities > 0]
    chi_square = ((counts - n * probabilities) ** 2 / (n * probabilities)).sum()
    freedom = len(counts) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5 + 8


@pytest.mark.parametrize(
    "window", [[1, 2, 3, 4], [0, 1, 0, 3], [5, 0, 0, 0.1], [1, 1, 1, 1], [1e-6, 3e-6, 0, 2e-6], [4e5, 1e5, 3e5, 2e5]]
)
def test_activations_are_drawn_in_proportion_to_their_size(window):
    torch.manual_seed(0)
    values = torch.tensor(window, dtype=torch.float32)
    x = values.view(1, 1, 2, 2).expand(20_000, 1, 2, 2).clone().requires_grad_()
    StochasticPool2d(2, 2)(x).sum().backward()
    assert_drawn_in_proportion(x.grad.sum((0, 1)).flatten(), values)


def test_at_a_corner_what_is_inside_is_drawn_in_proportion():
    torch.manual_seed(0)
    values = made(1, 1, 4, 4) + 0.1
    x = values.expand(20_000, 1, 4, 4).clone().requires_grad_()
    for (_, _, i, j), rows, columns in windows(values, 3, 1, 1):
        x.grad = None
        StochasticPool2d(3, 1, 1)(x)[:, :, i, j].sum().backward()
        drawn = x.grad.sum((0, 1))
        assert_drawn_in_proportion(drawn[rows, columns].flatten(), values[0, 0, rows, columns].flatten())
        assert drawn[rows, columns].sum() == 20_000


def test_windows_images_and_channels_are_drawn_independently():
    torch.manual_seed(0)
    places = torch.zeros(2, 2).index_put_((torch.tensor([0]), torch.tensor([0])), torch.tensor(1.0))
    x = (torch.ones(4000, 2, 2, 4) + torch.cat([places, places], 1)) / 2  # 1 or one half, with odds of 2 to 3
    drawn = (StochasticPool2d(2, 2)(x) == 1).float().flatten(1)
    assert (drawn.mean(0) - 0.4).abs().max() < 0.04
    assert (torch.corrcoef(drawn.T) - torch.eye(4)).abs().max() < 0.08
    assert len(drawn.unique(dim=0)) == 16


@sizes
def test_windows_of_zeros_give_zero(kernel, stride, padding):
    pooling = StochasticPool2d(kernel, stride, padding)
    x = torch.zeros(2, 2, 9, 11, requires_grad=True)
    result = pooling(x)
    result.sum().backward()
    assert not result.any()
    assert x.grad.isfinite().all()
    assert not pooling.eval()(x).any()


@sizes
def test_the_gradient_goes_to_what_was_drawn_and_nowhere_else(kernel, stride, padding):
    x = torch.randperm(112, generator=torch.Generator().manual_seed(0)).add(1).view(1, 2, 7, 8).float().requires_grad_()
    pooled = StochasticPool2d(kernel, stride, padding)(x)
    upstream = torch.rand(pooled.shape, generator=torch.Generator().manual_seed(1))
    pooled.backward(upstream)
    expected = torch.zeros_like(x)
    for place, rows, columns in windows(x, kernel, stride, padding):
        inside = expected[place[0], place[1], rows, columns]
        inside += upstream[place] * (x[place[0], place[1], rows, columns] == pooled[place])
    torch.testing.assert_close(x.grad, expected)


def test_the_gradient_in_evaluation_is_that_of_the_weighted_mean():
    x = (made(1, 1, 4, 4) + 0.1).double().requires_grad_()
    assert torch.autograd.gradcheck(StochasticPool2d(2, 2).eval(), (x,))


def test_a_seed_decides_what_is_drawn():
    x, pooling = made(4, 3, 8, 8), StochasticPool2d(3, 1, 1)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return pooling(x)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    pooling.eval()
    assert torch.equal(drawn(1), drawn(2))


@sizes
def test_channels_may_come_last_in_memory(kernel, stride, padding):
    x = made(2, 3, 9, 11)
    pooling, last = StochasticPool2d(kernel, stride, padding), x.to(memory_format=torch.channels_last)
    result = pooling(last)
    for (b, c, i, j), rows, columns in windows(x, kernel, stride, padding):
        assert (x[b, c, rows, columns] == result[b, c, i, j]).any()
    torch.testing.assert_close(pooling.eval()(last), pooling(x))


def test_half_precision_is_drawn_in_proportion_too():
    """Though a sum in half precision would lose the small ones."""
    torch.manual_seed(0)
    values = torch.tensor([256, 1, 1, 1, 1, 2, 1, 1, 1])
    x = values.bfloat16().view(1, 1, 3, 3).repeat(20_000, 1, 1, 1).requires_grad_()
    result = StochasticPool2d(3, 3)(x)
    result.sum().backward()
    assert result.dtype == torch.bfloat16
    assert_drawn_in_proportion(x.grad.float().sum((0, 1)).flatten(), values.float())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_network_goes_through(value):
    """Its activations are no numbers; the run is to end for its loss, not for an error."""
    x, pooling = torch.full((1, 2, 4, 4), value), StochasticPool2d(3, 1, 1)
    assert not pooling(x).isfinite().any()
    assert not pooling.eval()(x).isfinite().any()
