"""Each transform against torchvision's of the same name, image by image."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from trainables import transforms

torch.set_num_threads(1)
N, HEIGHT, WIDTH = 30, 13, 18
BILINEAR = {"interpolation": InterpolationMode.BILINEAR}
both = pytest.mark.parametrize("channels", [1, 3])


def made(channels: int = 3, n: int = N) -> torch.Tensor:
    random = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (n, HEIGHT, WIDTH, channels), generator=random, dtype=torch.uint8)


def amounts(low: float, high: float, n: int = N) -> torch.Tensor:
    """One an image, both ends among them."""
    return torch.linspace(low, high, n)[torch.randperm(n, generator=torch.Generator().manual_seed(0))]


def moved(image, columns: float, rows: float, factor: float = 1.0):
    return reference.affine(image, 0, [columns, rows], factor, [0, 0], **BILINEAR)


CASES = {
    "rotate": (amounts(-180, 180), lambda image, x: reference.rotate(image, x, **BILINEAR)),
    "scale": (amounts(0.2, 1.9), lambda image, x: moved(image, 0, 0, x)),
    "gamma": (amounts(0.1, 1.9), reference.adjust_gamma),
    "brightness": (amounts(0.5, 1.5), reference.adjust_brightness),
    "contrast": (amounts(0.5, 1.5), reference.adjust_contrast),
    "saturation": (amounts(0.5, 1.5), reference.adjust_saturation),
}


def assert_agrees(result, images, expected) -> None:
    """With torchvision on bytes to a grey level, with torchvision on fractions to rounding.

    Args:
        expected: what torchvision makes of an image [C, H, W], by its index.
    """
    assert result.dtype == torch.uint8
    assert result.shape == images.shape
    for i, (after, before) in enumerate(zip(result.permute(0, 3, 1, 2), images.permute(0, 3, 1, 2), strict=True)):
        assert (after.int() - expected(before, i).int()).abs().max() <= 1
        # Half a level is the rounding, the rest that torchvision weighs red with 0.2989.
        assert (after - 255 * expected(before / 255, i)).abs().max() < 0.53


@both
@pytest.mark.parametrize("name", CASES)
def test_a_transform_does_what_torchvision_s_does(name, channels):
    each, expected = CASES[name]
    images = made(channels)
    result = getattr(transforms, name)(images, each)
    assert_agrees(result, images, lambda image, i: expected(image, each[i].item()))


@both
def test_a_shift_does_what_torchvision_s_does(channels):
    images, columns, rows = made(channels), amounts(-9, 9), amounts(-5, 7).flip(0)
    result = transforms.shift(images, columns, rows)
    assert_agrees(result, images, lambda image, i: moved(image, columns[i].item(), rows[i].item()))


@both
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.1, 1.9, 2.0])
def test_strong_factors_too_do_what_torchvision_s_do(name, factor, channels):
    images = made(channels)
    result = getattr(transforms, name)(images, torch.full((N,), factor))
    for after, before in zip(result.permute(0, 3, 1, 2), images.permute(0, 3, 1, 2), strict=True):
        expected = 255 * getattr(reference, f"adjust_{name}")(before / 255, factor)
        assert (after - expected).abs().max() < 0.53


@both
def test_an_image_is_changed_by_its_own_amount_alone(channels):
    images = made(channels)
    for name, (each, _) in CASES.items():
        together = getattr(transforms, name)(images, each)
        alone = [getattr(transforms, name)(images[i : i + 1], each[i : i + 1]) for i in range(N)]
        assert torch.equal(together, torch.cat(alone)), name


@both
@pytest.mark.parametrize("name", CASES)
def test_the_amount_that_changes_nothing_changes_nothing(name, channels):
    images = made(channels)
    nothing = torch.zeros(N) if name == "rotate" else torch.ones(N)
    assert torch.equal(getattr(transforms, name)(images, nothing), images)
    assert torch.equal(transforms.shift(images, torch.zeros(N), torch.zeros(N)), images)


def test_a_quarter_turn_of_a_square_is_exact():
    images = made()[:, :, :HEIGHT]
    assert torch.equal(transforms.rotate(images, torch.full((N,), 90.0)), images.rot90(1, (1, 2)))


def test_half_a_turn_is_exact():
    images = made()
    assert torch.equal(transforms.rotate(images, torch.full((N,), 180.0)), images.flip(1, 2))


def test_a_shift_by_whole_pixels_is_exact_and_black_comes_in():
    images = made()
    result = transforms.shift(images, torch.full((N,), 4.0), torch.full((N,), -2.0))
    assert torch.equal(result[:, :-2, 4:], images[:, 2:, :-4])
    assert not result[:, -2:].any()
    assert not result[:, :, :4].any()


def test_a_smaller_image_has_black_around_it():
    result = transforms.scale(torch.full((1, 20, 20, 1), 200, dtype=torch.uint8), torch.tensor([0.5]))
    assert (result[:, 6:14, 6:14] == 200).all()
    assert not result[:, :4].any()
    assert not result[:, :, -4:].any()


def test_factors_of_zero_are_black_grey_and_without_colour():
    images, zero = made(), torch.zeros(N)
    assert not transforms.brightness(images, zero).any()
    assert all(len(image.unique()) == 1 for image in transforms.contrast(images, zero))
    red, green, blue = transforms.saturation(images, zero).unbind(3)
    assert torch.equal(red, green)
    assert torch.equal(red, blue)


def test_grey_images_have_no_colour_to_change():
    images = made(channels=1)
    assert torch.equal(transforms.saturation(images, amounts(0, 2)), images)


@pytest.mark.parametrize("name", [*CASES, "shift"])
def test_the_input_stays(name):
    images = made()
    before = images.clone()
    getattr(transforms, name)(images, *[amounts(0.5, 2)] * (2 if name == "shift" else 1))
    assert torch.equal(images, before)
