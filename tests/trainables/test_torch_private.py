"""Each row of the table in `trainables.torch_private`, and of the arithmetic that stands in for a private function."""

import sys

import pytest
import torch
from torch import nn

from trainables.models import mlp


def test_timm_fits_the_weights_of_a_transformer_to_another_size_of_images():
    import timm

    from trainables.torch_private import TIMM_FILTER, fit_timm_weights

    changed = (
        "timm no longer fits weights by checkpoint_filter_fn in the module of a model: "
        "weights of a transformer for another size of images are refused (trainables/torch_private.py)"
    )
    small, large = (timm.create_model("vit_tiny_patch16_224", img_size=size, num_classes=3) for size in (32, 64))
    assert hasattr(sys.modules[type(large).__module__], TIMM_FILTER), changed
    assert small.pos_embed.shape != large.pos_embed.shape
    fitted = fit_timm_weights(small.state_dict(), large)
    assert fitted["pos_embed"].shape == large.pos_embed.shape, changed
    large.load_state_dict(fitted)


def test_weights_of_a_model_without_such_a_function_are_left_as_they_are():
    from trainables.torch_private import fit_timm_weights

    weights = {"weight": torch.zeros(2, 2)}
    assert fit_timm_weights(weights, nn.Linear(2, 2)) is weights


def test_torchvision_builds_residual_networks_of_basic_blocks():
    changed = "torchvision no longer has resnet.BasicBlock: resnet9 cannot be built (trainables/torch_private.py)"
    from torchvision.models import resnet, resnet18

    assert hasattr(resnet, "BasicBlock"), changed
    from trainables.torch_private import residual_network

    model = residual_network([2, 2, 2, 2], 7)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert shapes == {name: value.shape for name, value in resnet18(num_classes=7).state_dict().items()}, changed


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(7, 3),
        nn.Linear(1, 5, bias=False),
        nn.Conv2d(3, 8, 5),
        nn.Conv2d(1, 6, (3, 5)),
        nn.Conv2d(6, 4, 3, groups=2),
    ],
    ids=str,
)
def test_the_fans_of_a_layer_are_those_of_torch(layer):
    torchs = getattr(nn.init, "_calculate_fan_in_and_fan_out", None)
    if torchs is None:
        pytest.fail("torch no longer has nn.init._calculate_fan_in_and_fan_out, with which mlp.fans is compared here")
    assert mlp.fans(layer) == torchs(layer.weight)
