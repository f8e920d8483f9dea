import pytest
import torch
import torch.nn.functional as F

from trainables.augment import AUGMENT, augment
from trainables.config import AUGMENTATIONS, TrainConfig

torch.set_num_threads(1)
HEIGHT, WIDTH = 9, 12


def made(n: int = 200, channels: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (n, HEIGHT, WIDTH, channels), generator=random, dtype=torch.uint8)


def spot(n: int = 500, height: int = 41, width: int = 61, up: int = 0) -> torch.Tensor:
    """One bright spot of 3x3 an image, in the middle or above it."""
    images = torch.zeros(n, height, width, 1, dtype=torch.uint8)
    row, column = height // 2 - up, width // 2
    images[:, row - 1 : row + 2, column - 1 : column + 2] = 200
    return images


def places(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the brightness of each image is, in pixels to the right of the middle and below it."""
    weight, (height, width) = images[..., 0].double(), images.shape[1:3]
    rows, columns = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    total = weight.sum((1, 2))
    return (weight.sum(1) @ columns.double()) / total, (weight.sum(2) @ rows.double()) / total


def assert_spread(values: torch.Tensor, limit: float, error: float) -> None:
    """Evenly over -limit..limit, and no further."""
    assert values.abs().max() <= limit + error
    assert values.max() > 0.9 * limit
    assert values.min() < -0.9 * limit
    counts = torch.histc(values.float(), 4, -limit, limit)
    assert counts.min() > 0.15 * len(values)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(name: str, images: torch.Tensor, seed: int = 1, **config) -> torch.Tensor:
    return augment(images, TrainConfig(augment=name, **config), seeded(seed))


def test_every_known_name_has_a_function():
    assert set(AUGMENT) == set(AUGMENTATIONS)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others():
    images = made(1000)
    result = augmented("flip", images)
    mirrored = sum(torch.equal(after, before.flip(1)) for after, before in zip(result, images, strict=True))
    left = sum(torch.equal(after, before) for after, before in zip(result, images, strict=True))
    assert mirrored + left == 1000
    assert 400 < mirrored < 600


@pytest.mark.parametrize("padding", [1, 3])
def test_crop_is_a_window_of_the_padded_image(padding):
    images = made()
    result = augmented("crop", images, crop_padding=padding)
    assert result.shape == images.shape
    places = [(top, left) for top in range(2 * padding + 1) for left in range(2 * padding + 1)]
    seen = set()
    for after, before in zip(result, images, strict=True):
        padded = F.pad(before, (0, 0, padding, padding, padding, padding))
        found = [
            place
            for place in places
            if torch.equal(after, padded[place[0] : place[0] + HEIGHT, place[1] : place[1] + WIDTH])
        ]
        assert len(found) == 1
        seen |= set(found)
    assert len(seen) > len(places) * 0.8  # windows come from all over


@pytest.mark.parametrize("degrees", [10.0, 60.0])
def test_images_are_turned_both_ways_up_to_the_limit(degrees):
    columns, rows = places(augmented("rotate", spot(up=16), rotate_degrees=degrees))
    assert_spread(torch.rad2deg(torch.atan2(-columns, -rows)), degrees, error=0.5)


@pytest.mark.parametrize("part", [0.1, 0.3])
def test_images_are_moved_up_to_a_part_of_their_height_and_width(part):
    columns, rows = places(augmented("shift", spot(), shift_fraction=part))
    assert_spread(columns, part * 61, error=0.05)
    assert_spread(rows, part * 41, error=0.05)
    assert abs(torch.corrcoef(torch.stack([columns, rows]))[0, 1]) < 0.2


@pytest.mark.parametrize("limit", [0.1, 0.6])
def test_images_are_resized_up_to_the_limit(limit):
    _, rows = places(augmented("scale", spot(up=12), scale_range=limit))
    assert_spread(rows / -12 - 1, limit, error=0.01)


@pytest.mark.parametrize("limit", [0.3, 0.9])
def test_brightness_is_raised_to_powers_up_to_the_limit(limit):
    grey = augmented("gamma", torch.full((500, 2, 2, 1), 128, dtype=torch.uint8), gamma_range=limit)
    assert len(grey[0].unique()) == 1
    exponents = torch.log(grey[:, 0, 0, 0] / 255) / torch.log(torch.tensor(128 / 255))
    assert_spread(exponents - 1, limit, error=0.03)


@pytest.mark.parametrize("strength", [0.1, 0.25])
def test_jitter_changes_brightness_contrast_and_saturation_each_up_to_its_strength(strength):
    """The mean luminance of two colours tells the brightness, its difference the contrast, red less blue the rest."""
    images = torch.zeros(500, 2, 2, 3, dtype=torch.uint8)
    images[:, 0], images[:, 1] = torch.tensor([90, 40, 30]), torch.tensor([150, 130, 70])

    def seen(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        dark, light = (images[:, row, 0].double() for row in (0, 1))
        weights = torch.tensor([0.299, 0.587, 0.114]).double()
        return (dark + light) @ weights, (light - dark) @ weights, dark[:, 0] - dark[:, 2] + light[:, 0] - light[:, 2]

    mean, difference, colour = (
        after / before
        for after, before in zip(seen(augmented("jitter", images, jitter_strength=strength)), seen(images), strict=True)
    )
    factors = torch.stack([mean, difference / mean, colour / difference]) - 1
    for values in factors:
        assert_spread(values, strength, error=0.03)
    assert (torch.corrcoef(factors) - torch.eye(3)).abs().max() < 0.2


@pytest.mark.parametrize("strength", [0.2, 0.9])
def test_jitter_brightens_and_darkens_up_to_its_strength(strength):
    """Neither the contrast nor the saturation of plain grey images can be changed."""
    result = augmented("jitter", torch.full((500, 3, 3, 3), 100, dtype=torch.uint8), jitter_strength=strength)
    assert_spread(result[:, 0, 0, 0] / 100 - 1, strength, error=0.01)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["none", *AUGMENTATIONS, "flip+crop", "crop+flip", "+".join(AUGMENTATIONS)])
def test_the_generator_decides_and_the_input_stays(name, channels):
    images = made(channels=channels)
    before = images.clone()
    result = augmented(name, images)
    assert result.dtype == torch.uint8
    assert result.shape == images.shape
    assert torch.equal(result, augmented(name, images))
    assert torch.equal(images, before)
    if name == "none":
        assert torch.equal(result, images)
    else:
        assert not torch.equal(result, augmented(name, images, seed=2))


@pytest.mark.parametrize(
    ("first", "second"), [("flip", "crop"), ("crop", "flip"), ("shift", "flip"), ("gamma", "jitter")]
)
def test_augmentations_come_in_the_order_of_their_names(first, second):
    images, generator, config = made(), seeded(), TrainConfig()
    expected = AUGMENT[second](AUGMENT[first](images, config, generator), config, generator)
    assert torch.equal(augmented(f"{first}+{second}", images), expected)
    assert not torch.equal(augmented(f"{second}+{first}", images), expected)
