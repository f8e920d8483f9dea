"""The enumerated enlargement: which images an epoch holds, and what they look like."""

from collections import Counter

import numpy as np
import pytest
import torch
from made_data import image_data, made_split
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from trainables.config import ENLARGEMENTS, TrainConfig
from trainables.enlarge import AMOUNTS, enlarge, variants
from trainables.loader import Loader
from trainables.split import Split

torch.set_num_threads(1)
CPU = torch.device("cpu")
BOTH = TrainConfig(enlarge="rotate+gamma")
DEGREES = [degrees for degrees in range(-15, 16) if degrees]
EXPONENTS = [0.7 + 0.02 * i for i in range(31) if i != 15]


def made(n: int, height: int = 9, width: int = 12, channels: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(n)
    return torch.randint(0, 256, (n, height, width, channels), generator=random, dtype=torch.uint8)


def all_of(image: torch.Tensor, config: TrainConfig = BOTH) -> torch.Tensor:
    """Every variant of an image, in order."""
    n = variants(config)
    return enlarge(image.expand(n, *image.shape), torch.arange(n), config)


def epoch(n: int, **config) -> tuple[Loader, list[tuple[int, bytes]]]:
    """A loader of n images, each of a class of its own, and what its first epoch holds: image and pixels."""
    images, numbers = made(n, 8, 8, 1).numpy(), np.arange(n)
    parts = Split(image_data((images, numbers), (images, numbers)), numbers, numbers, "test")
    loader = Loader(parts, TrainConfig(normalize="none", batch_size=500, **config), CPU)
    return loader, [
        (label, pixels.tobytes())
        for batch, labels in loader.training(0)
        for label, pixels in zip(labels.tolist(), (batch * 255).round().byte().permute(0, 2, 3, 1).numpy(), strict=True)
    ]


def test_every_known_name_has_amounts():
    assert set(AMOUNTS) == set(ENLARGEMENTS)


@pytest.mark.parametrize(
    ("names", "n"), [("none", 1), ("rotate", 31), ("gamma", 31), ("rotate+gamma", 61), ("gamma+rotate", 61)]
)
def test_so_many_images_are_made_of_one(names, n):
    assert variants(TrainConfig(enlarge=names)) == n


def test_the_first_variant_is_the_image_itself_and_no_other_is():
    image = made(1)[0]
    result = all_of(image)
    assert torch.equal(result[0], image)
    assert len({variant.numpy().tobytes() for variant in result}) == 61


@pytest.mark.parametrize("channels", [1, 3])
def test_variants_are_torchvision_s_rotations_and_gammas(channels):
    image = made(1, channels=channels)[0]
    result, pixels = all_of(image), image.permute(2, 0, 1)
    expected = [pixels]
    expected += [reference.rotate(pixels, x, interpolation=InterpolationMode.BILINEAR) for x in DEGREES]
    expected += [reference.adjust_gamma(pixels, x) for x in EXPONENTS]
    for after, right in zip(result, expected, strict=True):
        assert (after.permute(2, 0, 1).int() - right.int()).abs().max() <= 1


def test_the_names_may_come_in_any_order():
    image = made(1)[0]
    one, other = all_of(image), all_of(image, TrainConfig(enlarge="gamma+rotate"))
    assert torch.equal(one, torch.cat([other[:1], other[31:], other[1:31]]))
    assert torch.equal(all_of(image, TrainConfig(enlarge="rotate")), one[:31])


def test_each_image_of_a_batch_becomes_its_own_variant():
    images = made(40)
    before = images.clone()
    picked = torch.randint(0, 61, (40,), generator=torch.Generator().manual_seed(0))
    result = enlarge(images, picked, BOTH)
    assert torch.equal(result, torch.stack([all_of(image)[i] for image, i in zip(images, picked, strict=True)]))
    assert result.dtype == torch.uint8
    assert torch.equal(images, before)


@pytest.mark.parametrize(("n", "enlarged"), [(300, 18_300), (61, 3_721)])
def test_every_variant_of_every_image_comes_once_an_epoch(n, enlarged):
    loader, seen = epoch(n, enlarge="rotate+gamma")
    assert loader.n_train == len(seen) == enlarged
    assert len(loader) == -(-enlarged // 500)
    expected = Counter(
        (number, variant.numpy().tobytes())
        for number, image in enumerate(torch.from_numpy(loader.split.data.train_images))
        for variant in all_of(image)
    )
    assert Counter(seen) == expected


def test_variants_are_mixed_and_drawn_again_each_epoch():
    loader, seen = epoch(20, enlarge="gamma")
    first, second = ([labels.tolist() for _, labels in loader.training(epoch)] for epoch in (0, 1))
    assert first != second
    assert len({label for label, _ in seen[:60]}) > 10
    assert epoch(20, enlarge="gamma")[1] == seen
    assert epoch(20, enlarge="gamma", seed=1)[1] != seen


def test_only_the_training_part_is_enlarged():
    parts = made_split()
    loader = Loader(parts, TrainConfig(enlarge="rotate+gamma"), CPU)
    assert loader.n_train == 61 * len(parts.train)
    assert sum(len(labels) for _, labels in loader.validation()) == len(parts.validation)
    assert sum(len(labels) for _, labels in loader.test()) == len(parts.data.test_images)


def test_variants_are_augmented_on_top():
    _, seen = epoch(20, enlarge="gamma", augment="flip")
    _, plain = epoch(20, enlarge="gamma")

    def mirrored(pixels: bytes) -> bytes:
        return np.frombuffer(pixels, np.uint8).reshape(8, 8)[:, ::-1].tobytes()

    flipped = sum(after != before for after, before in zip(seen, plain, strict=True))
    assert 0.4 < flipped / len(seen) < 0.6
    assert all(
        (label, pixels) in ((number, before), (number, mirrored(before)))
        for (label, pixels), (number, before) in zip(seen, plain, strict=True)
    )
