"""The published networks are what their publications say, and each option does what it says."""

import itertools
import math

import pytest
import torch
from torch import nn
from torchvision.models import vgg as published_vgg

from trainables import named_model
from trainables.errors import ModelError

torch.set_num_threads(1)
CIFAR = (3, 32, 32)
VGGS = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}
"""Columns of table 1 of Simonyan & Zisserman 2015."""


def build(name: str, shape: tuple[int, int, int] = CIFAR, num_classes: int = 10, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return named_model.build(name, shape, num_classes, options)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def linear(n_in: int, n_out: int, bias: bool = True) -> int:
    return n_in * n_out + bias * n_out


def conv(n_in: int, n_out: int, size: int, bias: bool = True) -> int:
    return size * size * n_in * n_out + bias * n_out


def batch_norm(channels: int) -> int:
    return 2 * channels


def of_kind(model: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, kinds)]


def two_passes_in_training(model: nn.Module, shape: tuple[int, int, int]) -> list[torch.Tensor]:
    """The scores of the same images, as the random parts of the network have it."""
    model.train()
    images = torch.rand(4, *shape)
    torch.manual_seed(0)
    return [model(images).detach() for _ in range(2)]


# Numbers of parameters


@pytest.mark.parametrize(
    ("name", "shape", "num_classes", "options", "expected"),
    [
        ("lenet", CIFAR, 10, {}, 62_006),
        ("lenet", CIFAR, 10, {"pooling": "average", "activation": "tanh"}, 62_006),
        ("tutorial_cnn", CIFAR, 10, {}, 62_006),
        ("resnet18", CIFAR, 10, {}, 11_181_642),
        ("resnet18", CIFAR, 1000, {}, 11_689_512),
        ("resnet9", CIFAR, 10, {}, 4_903_242),
        *(
            ("cnn_sp", (3, 256, 256), 3, {"pooling": pooling}, 1_627_563)
            for pooling in ("max", "average", "stochastic")
        ),
        ("vgg11", CIFAR, 10, {}, 9_756_426),
        ("vgg13", CIFAR, 10, {}, 9_941_322),
        ("vgg16", CIFAR, 10, {}, 15_253_578),
        ("vgg19", CIFAR, 10, {}, 20_565_834),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_published_network_has_its_number_of_parameters(name, shape, num_classes, options, expected):
    assert parameters(build(name, shape, num_classes, **options)) == expected


def vgg_features(column: str, channels: int) -> int:
    total = 0
    for width in published_vgg.cfgs[column]:
        if width != "M":
            total += conv(channels, width, 3) + batch_norm(width)
            channels = width
    return total


@pytest.mark.parametrize("name", VGGS)
@pytest.mark.parametrize(
    ("classifier", "shape", "num_classes"),
    [("hidden", CIFAR, 10), ("linear", CIFAR, 10), ("linear", (1, 32, 32), 3), ("hidden", (3, 64, 99), 7)],
)
def test_vgg_has_the_parameters_of_its_layers(name, classifier, shape, num_classes):
    units = 512 * (shape[1] // 32) * (shape[2] // 32)
    head = linear(units, num_classes)
    if classifier == "hidden":
        head = linear(units, 512) + linear(512, 512) + linear(512, num_classes)
    model = build(name, shape, num_classes, classifier=classifier)
    assert parameters(model) == vgg_features(VGGS[name], shape[0]) + head


@pytest.mark.parametrize("name", VGGS)
def test_the_features_of_vgg_are_those_of_torchvisions_with_batch_normalisation(name):
    published = [repr(m) for m in published_vgg.make_layers(published_vgg.cfgs[VGGS[name]], batch_norm=True)]
    layers = [repr(m) for m in build(name)]
    assert layers[: len(published)] == [layer.replace("inplace=True", "") for layer in published]


def test_resnet9_has_the_parameters_of_its_layers():
    def block(n_in: int, n_out: int) -> int:
        plain = conv(n_in, n_out, 3, bias=False) + conv(n_out, n_out, 3, bias=False) + 2 * batch_norm(n_out)
        return plain + (conv(n_in, n_out, 1, bias=False) + batch_norm(n_out) if n_in != n_out else 0)

    for channels, num_classes in ((3, 10), (1, 4)):
        stem = conv(channels, 64, 3, bias=False) + batch_norm(64)
        stages = block(64, 64) + block(64, 128) + block(128, 256) + block(256, 512)
        model = build("resnet9", (channels, 32, 32), num_classes)
        assert parameters(model) == stem + stages + linear(512, num_classes)


@pytest.mark.parametrize(
    ("shape", "options", "width", "hidden"),
    [
        (CIFAR, {}, 32, 128),
        ((1, 28, 30), {"width": 8}, 8, 128),
        ((1, 4, 4), {"hidden": 5, "dropout": 0.5}, 32, 5),
        ((3, 33, 35), {"width": 16, "hidden": 64}, 16, 64),
    ],
)
def test_fashionnet_has_the_parameters_of_its_layers(shape, options, width, hidden):
    channels, rows, columns = shape
    features = conv(channels, width, 3) + batch_norm(width) + conv(width, 2 * width, 3) + batch_norm(2 * width)
    units = 2 * width * (rows // 4) * (columns // 4)
    expected = features + linear(units, hidden) + linear(hidden, 10)
    assert parameters(build("fashionnet", shape, **options)) == expected


@pytest.mark.parametrize(
    ("shape", "options", "hidden"),
    [
        ((1, 16, 16), {}, [100]),
        ((1, 16, 16), {"depth": 0}, []),
        ((3, 8, 5), {"depth": 3, "width": 40}, [40, 40, 40]),
        ((1, 16, 16), {"depth": 3, "width": 40, "taper": 0.5}, [40, 20, 10]),
        ((1, 16, 16), {"depth": 3, "width": 10, "taper": 2}, [10, 20, 40]),
        ((1, 16, 16), {"depth": 4, "width": 2, "taper": 0.1}, [2, 1, 1, 1]),
        ((1, 16, 16), {"depth": 2, "width": 7, "bias": False}, [7, 7]),
        ((1, 16, 16), {"depth": 1, "width": 7, "convolution": 3}, [7]),
        ((3, 9, 4), {"depth": 0, "convolution": 2}, []),
        ((3, 9, 4), {"depth": 1, "width": 6, "convolution": 5, "bias": False}, [6]),
        ((1, 16, 16), {"dropout": 0.5, "activation": "relu", "initialisation": "he"}, [100]),
    ],
    ids=str,
)
def test_a_multilayer_perceptron_has_the_parameters_of_its_layers(shape, options, hidden):
    channels, rows, columns = shape
    bias, filters = options.get("bias", True), options.get("convolution", 0)
    expected = conv(channels, filters, 5, bias) if filters else 0
    units = [(filters or channels) * rows * columns, *hidden, 10]
    expected += sum(linear(n_in, n_out, bias) for n_in, n_out in itertools.pairwise(units))
    assert parameters(build("mlp", shape, **options)) == expected


# Layers


def sizes_behind(model: nn.Module, kinds: tuple[type[nn.Module], ...], shape: tuple[int, int, int]) -> list[tuple]:
    """(channels, height, width) behind each layer of some kinds."""
    seen: list[tuple] = []
    for layer in of_kind(model, *kinds):
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape[1:])))
    with torch.no_grad():
        model.eval()(torch.rand(1, *shape))
    return seen


@pytest.mark.parametrize("pooling", ["max", "average", "stochastic"])
def test_cnn_sp_has_the_published_sizes(pooling):
    model = build("cnn_sp", (3, 256, 256), 3, pooling=pooling)
    sizes = [(40, 86, 86), (80, 28, 28), (120, 10, 10), (120, 10, 10), (120, 10, 10)]
    assert sizes_behind(model, (nn.Conv2d,), (3, 256, 256)) == sizes
    pools = tuple({type(layer) for layer in model if "Pool" in type(layer).__name__})
    assert sizes_behind(model, pools, (3, 256, 256)) == sizes
    assert len(of_kind(model, nn.ReLU)) == 6
    assert [layer.p for layer in of_kind(model, nn.Dropout)] == [0.1]


def test_resnet9_halves_the_picture_before_the_stages_and_at_each_but_the_first():
    model = build("resnet9")
    assert sizes_behind(model, (nn.Conv2d,), CIFAR)[0] == (64, 32, 32)
    stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    seen: list[tuple] = []
    for stage in stages:
        stage.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape[1:])))
        assert len(stage) == 1
    model.eval()(torch.rand(1, *CIFAR))
    assert seen == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]


def test_the_tutorial_network_is_the_lenet_of_here():
    torch.manual_seed(1)
    images = torch.rand(2, *CIFAR)
    assert torch.equal(build("tutorial_cnn")(images), build("lenet")(images))


def test_without_hidden_layers_a_perceptron_is_logistic_regression():
    model = build("mlp", (1, 6, 6), depth=0)
    one, other, nothing = torch.rand(1, 1, 6, 6), torch.rand(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)
    assert torch.allclose(model(one + other) + model(nothing), model(one) + model(other), atol=1e-5)


def test_without_bias_a_perceptron_answers_nothing_to_nothing():
    with_bias, without = (build("mlp", (1, 6, 6), bias=bias) for bias in (True, False))
    for layer in of_kind(with_bias, nn.Linear):
        nn.init.ones_(layer.bias)
    assert with_bias(torch.zeros(1, 1, 6, 6)).any()
    assert not without(torch.zeros(1, 1, 6, 6)).any()
    assert all(layer.bias is None for layer in of_kind(build("mlp", bias=False, convolution=2), nn.Linear, nn.Conv2d))


def test_the_convolution_of_a_perceptron_sees_the_picture_as_it_lies():
    model = build("mlp", (1, 12, 9), convolution=4)
    assert sizes_behind(model, (nn.Conv2d,), (1, 12, 9)) == [(4, 12, 9)]
    assert [layer.kernel_size for layer in of_kind(model, nn.Conv2d)] == [(5, 5)]
    assert len(of_kind(model, nn.Tanh)) == 2  # behind the convolution too


# Initial weights


def assert_normal(weight: torch.Tensor, std: float) -> None:
    """Five standard errors at the most from N(0, std), and with tails that a uniform distribution has not."""
    n = weight.numel()
    assert abs(weight.mean().item()) < 5 * std / math.sqrt(n)
    assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n))
    assert n < 1000 or weight.abs().max().item() > 2.5 * std


@pytest.mark.parametrize("classifier", ["hidden", "linear"])
def test_vgg_begins_as_published(classifier):
    """Convolutions Xavier-normal, linear layers N(0, 0.01), no bias."""
    model = build("vgg11", classifier=classifier)
    for layer in of_kind(model, nn.Conv2d):
        assert_normal(layer.weight, math.sqrt(2 / (9 * layer.in_channels + 9 * layer.out_channels)))
    for layer in of_kind(model, nn.Linear):
        assert_normal(layer.weight, 0.01)
    assert not any(layer.bias.any() for layer in of_kind(model, nn.Conv2d, nn.Linear, nn.BatchNorm2d))
    assert all((layer.weight == 1).all() for layer in of_kind(model, nn.BatchNorm2d))


@pytest.mark.parametrize("convolution", [0, 6])
@pytest.mark.parametrize(
    ("initialisation", "std"),
    [
        ("normal", lambda n_in, n_out: 1.0),
        ("xavier", lambda n_in, n_out: math.sqrt(2 / (n_in + n_out))),
        ("he", lambda n_in, n_out: math.sqrt(2 / n_in)),
    ],
)
def test_a_perceptron_begins_as_its_option_says(initialisation, std, convolution):
    model = build("mlp", (1, 16, 16), depth=2, taper=0.5, initialisation=initialisation, convolution=convolution)
    for layer in of_kind(model, nn.Linear):
        assert_normal(layer.weight, std(layer.in_features, layer.out_features))
    for layer in of_kind(model, nn.Conv2d):
        assert_normal(layer.weight, std(25 * 1, 25 * convolution))
    assert len(of_kind(model, nn.Linear, nn.Conv2d)) == 3 + bool(convolution)
    assert not any(layer.bias.any() for layer in of_kind(model, nn.Linear, nn.Conv2d))


def test_a_perceptron_begins_with_xavier_where_nothing_is_said():
    said, unsaid = build("mlp", initialisation="xavier"), build("mlp")
    assert all(torch.equal(a, b) for a, b in zip(said.parameters(), unsaid.parameters(), strict=True))


def test_the_first_layer_of_resnet9_begins_as_the_others_of_a_residual_network_do():
    model = build("resnet9")
    for layer in of_kind(model, nn.Conv2d):
        size = layer.kernel_size[0]
        assert_normal(layer.weight, math.sqrt(2 / (size * size * layer.out_channels)))


# Options


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet", ["pooling", "activation"]),
        ("tutorial_cnn", []),
        ("fashionnet", ["width", "hidden", "dropout"]),
        ("resnet9", []),
        ("resnet18", ["weights", "frozen"]),
        *((name, ["classifier", "dropout"]) for name in VGGS),
        ("cnn_sp", ["pooling", "dropout"]),
        (
            "mlp",
            ["depth", "width", "taper", "activation", "dropout", "bias", "initialisation", "convolution"],
        ),
    ],
)
def test_the_options_of_a_network_are_known_by_name(name, options):
    assert named_model.option_names(name) == options


@pytest.mark.parametrize(
    ("name", "shape", "one", "other"),
    [
        ("cnn_sp", (1, 16, 16), {"pooling": "max"}, {"pooling": "average"}),
        ("cnn_sp", (1, 16, 16), {"pooling": "max"}, {"pooling": "stochastic"}),
        ("cnn_sp", (1, 16, 16), {"pooling": "average"}, {"pooling": "stochastic"}),
        ("mlp", (1, 8, 8), {"activation": "tanh"}, {"activation": "relu"}),
        ("mlp", (1, 8, 8), {"activation": "tanh"}, {"activation": "sigmoid"}),
        ("mlp", (1, 8, 8), {"initialisation": "he"}, {"initialisation": "xavier"}),
        ("mlp", (1, 8, 8), {"initialisation": "he"}, {"initialisation": "normal"}),
    ],
    ids=str,
)
@torch.no_grad()
def test_each_choice_computes_something_else(name, shape, one, other):
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    scores = [build(name, shape, **options).eval()(images) for options in (one, one, other)]
    assert torch.equal(scores[0], scores[1])
    assert not torch.allclose(scores[0], scores[2])


@pytest.mark.parametrize(
    ("activation", "expected"), [("relu", nn.ReLU), ("sigmoid", nn.Sigmoid), ("tanh", nn.Tanh)], ids=str
)
def test_the_activation_of_a_perceptron_is_behind_every_hidden_layer(activation, expected):
    model = build("mlp", (1, 8, 8), depth=3, activation=activation, convolution=2)
    assert len(of_kind(model, expected)) == 4
    assert len(of_kind(model, nn.ReLU, nn.Sigmoid, nn.Tanh)) == 4


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("vgg11", CIFAR, {}),
        ("fashionnet", (1, 8, 8), {}),
        ("cnn_sp", (1, 16, 16), {"pooling": "max"}),
        ("mlp", (1, 8, 8), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_dropout_is_what_it_is_set_to_and_only_in_training(name, shape, options):
    plain = build(name, shape, **options, dropout=0.0)
    first, second = two_passes_in_training(plain, shape)
    assert torch.equal(first, second)
    model = build(name, shape, **options, dropout=0.5)
    first, second = two_passes_in_training(model, shape)
    assert not torch.equal(first, second)
    assert {layer.p for layer in of_kind(model, nn.Dropout)} == {0.5}
    images = torch.rand(2, *shape)
    assert torch.equal(model.eval()(images), model(images))


def test_vgg_drops_a_fifth_where_nothing_is_said_and_nothing_without_hidden_layers():
    assert [layer.p for layer in of_kind(build("vgg11"), nn.Dropout)] == [0.2, 0.2]
    assert of_kind(build("vgg11", classifier="linear"), nn.Dropout) == []


def test_every_hidden_layer_of_a_perceptron_drops_units():
    assert [layer.p for layer in of_kind(build("mlp", depth=3, dropout=0.3), nn.Dropout)] == [0.3] * 3


def test_stochastic_pooling_is_random_in_training_alone():
    for pooling, random in (("stochastic", True), ("max", False)):
        model = build("cnn_sp", (1, 16, 16), pooling=pooling, dropout=0.0)
        first, second = two_passes_in_training(model, (1, 16, 16))
        assert torch.equal(first, second) is not random


# Refusals


@pytest.mark.parametrize(
    ("name", "small", "smallest", "needed"),
    [
        ("lenet", (15, 32), (16, 17), "16x16"),
        ("tutorial_cnn", (32, 15), (17, 16), "16x16"),
        ("fashionnet", (3, 8), (4, 5), "4x4"),
        ("cnn_sp", (40, 12), (13, 14), "13x13"),
        *((name, (31, 64), (32, 33), "32x32") for name in VGGS),
    ],
)
@torch.no_grad()
def test_images_too_small_are_refused_and_the_smallest_fit(name, small, smallest, needed):
    rows, columns = small
    with pytest.raises(ModelError, match=f"{needed} or more, not {columns}x{rows}"):
        build(name, (1, rows, columns))
    assert build(name, (1, *smallest)).eval()(torch.rand(2, 1, *smallest)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (1, 1, 1)), ("mlp", (2, 3, 5)), ("resnet9", (1, 8, 8)), ("resnet9", (3, 20, 33))]
)
@torch.no_grad()
def test_some_take_images_of_any_size(name, shape):
    assert build(name, shape).eval()(torch.rand(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "option", "wrong", "choices"),
    [
        ("lenet", "pooling", "median", ["max", "average"]),
        ("lenet", "activation", "gelu", ["relu", "tanh"]),
        ("vgg11", "classifier", "deep", ["hidden", "linear"]),
        ("cnn_sp", "pooling", "median", ["max", "average", "stochastic"]),
        ("mlp", "activation", "gelu", ["relu", "sigmoid", "tanh"]),
        ("mlp", "initialisation", "uniform", ["normal", "xavier", "he"]),
    ],
)
def test_an_unknown_choice_is_answered_with_the_known_ones(name, option, wrong, choices):
    with pytest.raises(ModelError) as error:
        build(name, **{option: wrong})
    assert str(error.value).startswith(option)
    assert all(word in str(error.value) for word in [repr(wrong), *choices])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", {"depth": -1}),
        ("mlp", {"depth": 1.5}),
        ("mlp", {"width": 0}),
        ("mlp", {"width": "wide"}),
        ("mlp", {"taper": 0}),
        ("mlp", {"convolution": -1}),
        ("mlp", {"convolution": 1.5}),
        ("mlp", {"dropout": 2}),
        ("fashionnet", {"width": 0}),
        ("fashionnet", {"width": 1.5}),
        ("fashionnet", {"hidden": -1}),
        ("fashionnet", {"hidden": 0}),
        ("fashionnet", {"dropout": -0.1}),
        ("cnn_sp", {"dropout": 1.1}),
        ("vgg11", {"dropout": 1.5}),
        ("vgg11", {"dropout": "much"}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_an_option_out_of_bounds_is_refused_with_its_name(name, options):
    with pytest.raises(ModelError) as error:
        build(name, **options)
    assert any(option in str(error.value) for option in options)


@pytest.mark.parametrize("name", ["lenet", "resnet9", "resnet18", "mlp"])
def test_an_option_that_the_network_does_not_have_is_refused(name):
    with pytest.raises(ModelError, match=f"{name}.*no_such_option"):
        build(name, no_such_option=1)
