import pytest
import torch
import torch.nn.functional as F

from trainables.augment import AUGMENT, augment
from trainables.config import AUGMENTATIONS, TrainConfig

torch.set_num_threads(1)
HEIGHT, WIDTH = 9, 12


def made(n: int = 200) -> torch.Tensor:
    return torch.randint(1, 256, (n, HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


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


@pytest.mark.parametrize("name", ["none", *AUGMENTATIONS, "flip+crop", "crop+flip"])
def test_the_generator_decides_and_the_input_stays(name):
    images = made()
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


@pytest.mark.parametrize(("first", "second"), [("flip", "crop"), ("crop", "flip")])
def test_augmentations_come_in_the_order_of_their_names(first, second):
    images, generator, config = made(), seeded(), TrainConfig()
    expected = AUGMENT[second](AUGMENT[first](images, config, generator), config, generator)
    assert torch.equal(augmented(f"{first}+{second}", images), expected)
    assert not torch.equal(augmented(f"{second}+{first}", images), expected)
