import pytest
import torch

from trainables.errors import ModelError
from trainables.models.lenet import build

torch.set_num_threads(1)


def test_it_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in build((3, 32, 32), 10).parameters()) == 62_006


@pytest.mark.parametrize("shape", [(3, 15, 32), (3, 32, 15), (1, 8, 8)], ids=str)
def test_images_too_small_are_refused(shape):
    with pytest.raises(ModelError, match=rf"16x16.*{shape[2]}x{shape[1]}"):
        build(shape, 10)


def test_the_smallest_images_fit():
    assert build((1, 16, 17), 10)(torch.rand(2, 1, 16, 17)).shape == (2, 10)


@pytest.mark.parametrize("options", [{"pooling": "median"}, {"activation": "gelu"}], ids=str)
def test_unknown_options_are_refused(options):
    (name, value), *_ = options.items()
    with pytest.raises(ModelError, match=f"{name}.*{value}"):
        build((3, 32, 32), 10, **options)


@pytest.mark.parametrize("options", [{"pooling": "average"}, {"activation": "tanh"}], ids=str)
def test_each_option_changes_what_is_computed(options):
    def scores(**options: str) -> torch.Tensor:
        torch.manual_seed(0)
        model = build((3, 32, 32), 10, **options)
        return model(torch.rand(2, 3, 32, 32))

    assert torch.equal(scores(), scores())
    assert not torch.allclose(scores(), scores(**options))
