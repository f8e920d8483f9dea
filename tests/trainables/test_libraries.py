"""Any classifier of torchvision and timm: fitted to the images and classes, with weights from elsewhere or without."""

import socket
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trainables import named_model
from trainables.config import TrainConfig
from trainables.errors import ModelError
from trainables.module_folder import UnknownName
from trainables.state import TrainState
from trainables.training import train_step

torch.set_num_threads(1)
CPU = torch.device("cpu")
COLOUR, GREY = (3, 32, 32), (1, 32, 32)
CLASSES = 7
SMALL = ("torchvision/mobilenet_v3_small", "torchvision/squeezenet1_0", "timm/mobilenetv3_small_050")
"""Of each library, and one whose last layer is a convolution; some seven hundred thousand to 1.5 million parameters."""
HEADS = {
    "torchvision/resnet18": "fc",
    "torchvision/mobilenet_v3_small": "classifier.3",
    "torchvision/squeezenet1_0": "classifier.1",
    "timm/mobilenetv3_small_050": "classifier",
    "timm/convnext_atto": "head.fc",
    "timm/vit_tiny_patch16_224": "head",
}
libraries = pytest.mark.parametrize("library", ["torchvision", "timm"])
small = pytest.mark.parametrize("name", SMALL)


def build(name: str, shape=COLOUR, num_classes: int = CLASSES, *, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return named_model.build(name, shape, num_classes, options)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Callable[..., Path]:
    """A file with the state dict of a network with random weights; the same for the same arguments."""
    folder = tmp_path_factory.mktemp("weights")

    @cache
    def save(name: str, shape: tuple[int, int, int] = COLOUR, num_classes: int = CLASSES) -> Path:
        path = folder / f"{name.replace('/', '-')}-{shape}-{num_classes}.pt"
        torch.save(build(name, shape, num_classes, seed=1).state_dict(), path)
        return path

    return save


def read(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def differing(model: nn.Module, weights: dict[str, torch.Tensor]) -> set[str]:
    """Entries of a model that are not as in a state dict, or not in it."""
    own = model.state_dict()
    return {
        key for key, value in own.items()
        if key not in weights or weights[key].shape != value.shape or not torch.equal(weights[key], value)
    }  # fmt: skip


def of_head(name: str, keys: set[str]) -> bool:
    return all(key.startswith(f"{HEADS[name]}.") for key in keys)


# Images and classes


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("torchvision/resnet18", [COLOUR, (1, 28, 28), (3, 40, 64)]),
        ("torchvision/mobilenet_v3_small", [COLOUR, (1, 28, 28), (3, 40, 64)]),
        ("torchvision/squeezenet1_0", [COLOUR, (1, 28, 28), (3, 40, 64)]),
        ("torchvision/googlenet", [COLOUR, (1, 28, 28), (3, 40, 64)]),
        ("torchvision/vit_b_16", [GREY]),
        ("timm/resnet18", [COLOUR, (1, 28, 28), (3, 40, 64)]),
        ("timm/resnet18.a1_in1k", [COLOUR]),
        ("timm/mobilenetv3_small_050", [COLOUR, (1, 28, 28), (3, 40, 64)]),
        ("timm/convnext_atto", [COLOUR, GREY, (3, 40, 64)]),
        ("timm/vit_tiny_patch16_224", [COLOUR, (1, 48, 48), (3, 48, 64)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@torch.no_grad()
def test_a_classifier_gives_a_score_for_each_class_whatever_the_images(name, shapes):
    for shape in shapes:
        model = build(name, shape)
        for mode in (True, False):
            scores = model.train(mode)(torch.rand(2, *shape))
            assert scores.shape == (2, CLASSES), shape
            assert scores.isfinite().all()


@small
def test_gradient_reaches_every_parameter(name):
    model = build(name)
    F.cross_entropy(model(torch.randn(4, *COLOUR)), torch.arange(4)).backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []


@small
def test_the_seed_decides_the_weights(name):
    first = build(name, seed=1).state_dict()
    torch.rand(5)  # whatever else draws from the global generator
    assert differing(build(name, seed=1), first) == set()
    assert differing(build(name, seed=2), first) != set()


@pytest.mark.parametrize("name", list(HEADS))
def test_the_last_layer_is_for_the_classes_there_are(name):
    for num_classes in (2, 11):
        head = build(name, num_classes=num_classes).get_submodule(HEADS[name])
        assert head.weight.shape[0] == num_classes


def test_the_network_of_the_published_study_is_the_one_of_torchvision():
    assert differing(build("resnet18"), build("torchvision/resnet18").state_dict()) == set()


@pytest.mark.parametrize("name", [*SMALL, "timm/convnext_atto", "timm/vit_tiny_patch16_224"])
@torch.no_grad()
def test_a_grey_image_gives_what_it_gives_in_three_equal_colours(name, saved):
    """The first layer of a pretrained network is summed over the colours; the rest is taken as it is."""
    path = str(saved(name))
    colour, grey = build(name, weights=path).eval(), build(name, GREY, weights=path).eval()
    head = {key: value for key, value in colour.state_dict().items() if key.startswith(f"{HEADS[name]}.")}
    grey.load_state_dict(head, strict=False)
    images = torch.rand(2, *GREY)
    assert torch.allclose(grey(images), colour(images.repeat(1, 3, 1, 1)), atol=1e-4)
    assert len(differing(grey, colour.state_dict())) == 1


@torch.no_grad()
def test_more_channels_than_three_share_the_weights_of_the_colours(saved):
    path = str(saved("torchvision/squeezenet1_0"))
    colour, more = (build("torchvision/squeezenet1_0", (n, 32, 32), weights=path).eval() for n in (3, 6))
    images = torch.rand(2, *COLOUR)
    assert torch.allclose(more(images.repeat(1, 2, 1, 1)), colour(images), atol=1e-4)


# Weights from a file


@pytest.mark.parametrize("name", list(HEADS))
def test_weights_from_a_file_are_taken_with_the_last_layer_for_as_many_classes(name, saved):
    path = saved(name)
    assert differing(build(name, weights=str(path)), read(path)) == set()


@pytest.mark.parametrize("name", list(HEADS))
def test_for_other_classes_the_last_layer_begins_with_fresh_weights(name, saved):
    path = saved(name)
    model = build(name, num_classes=5, weights=str(path))
    odd = differing(model, read(path))
    assert odd
    assert of_head(name, odd)
    assert model.get_submodule(HEADS[name]).weight.shape[0] == 5
    assert differing(build(name, num_classes=5, weights=str(path), seed=3), model.state_dict()) <= odd


@small
def test_weights_for_as_many_classes_as_imagenet_has_can_be_brought_to_fewer_and_back(name, saved):
    many = saved(name, num_classes=1000)
    assert differing(build(name, num_classes=1000, weights=str(many)), read(many)) == set()
    assert of_head(name, differing(build(name, weights=str(many)), read(many)))
    few = saved(name)
    assert of_head(name, differing(build(name, num_classes=1000, weights=str(few)), read(few)))


@small
@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_may_lie_inside_a_checkpoint(name, key, saved, tmp_path):
    weights = read(saved(name))
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, "optimizer": {"state": {}}, key: weights}, path)
    assert not differing(build(name, weights=str(path)), weights) - {
        key for key in weights if key.startswith(f"{HEADS[name]}.")
    }


@libraries
@pytest.mark.parametrize("frozen", [False, True], ids=["all of it trained", "its last layer trained"])
@pytest.mark.parametrize("shape", [COLOUR, GREY], ids=["colour", "grey"])
def test_what_a_run_saved_another_can_begin_with(library, frozen, shape, saved, tmp_path):
    name = next(name for name in SMALL if name.startswith(library))
    options = {"weights": str(saved(name)), "frozen": frozen}
    first = TrainState.create(TrainConfig(model=name, model_options=options), shape, CLASSES, CPU)
    first.save(tmp_path / "state.pt")
    second = build(name, shape, weights=str(tmp_path / "state.pt"))
    trained = first.model.model if frozen else first.model
    assert differing(second, trained.state_dict()) == set()


@pytest.mark.parametrize("name", [*SMALL, "timm/vit_tiny_patch16_224"])
@pytest.mark.parametrize("other", ["lenet", "torchvision/mobilenet_v3_small", "timm/mobilenetv3_small_050"])
def test_weights_of_another_network_are_refused(name, other, saved):
    if other == name:
        pytest.skip("the same network")
    path = str(saved(other))
    with pytest.raises(ModelError) as error:
        build(name, weights=path)
    assert path in str(error.value)


@libraries
@pytest.mark.parametrize("damage", ["half", "text", "empty", "number", "names", "nothing in it"])
def test_a_file_that_holds_no_weights_is_refused_by_name(library, damage, saved, tmp_path):
    name = next(name for name in SMALL if name.startswith(library))
    path = tmp_path / "broken.pt"
    if damage in ("number", "names", "nothing in it"):
        torch.save({"number": 3, "names": {"a": "b"}, "nothing in it": {}}[damage], path)
    else:
        whole = saved(name).read_bytes()
        path.write_bytes({"half": whole[: len(whole) // 2], "text": b"weights\n", "empty": b""}[damage])
    with pytest.raises(ModelError) as error:
        build(name, weights=str(path))
    assert str(path) in str(error.value)


class Wicked:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@libraries
def test_a_file_of_weights_cannot_run_code(library, tmp_path):
    name = next(name for name in SMALL if name.startswith(library))
    torch.save({"state_dict": Wicked(tmp_path / "was here")}, tmp_path / "wicked.pt")
    with pytest.raises(ModelError, match=r"wicked\.pt"):
        build(name, weights=str(tmp_path / "wicked.pt"))
    assert not (tmp_path / "was here").exists()


@libraries
@pytest.mark.parametrize("path", ["no/such/file.pt", "imagnet", "tests", ""])
def test_a_file_that_is_not_there_is_refused_with_what_is_possible(library, path):
    name = next(name for name in SMALL if name.startswith(library))
    with pytest.raises(ModelError, match=r"^weights") as error:
        build(name, weights=path)
    assert all(word in str(error.value) for word in (path, "imagenet", "none"))


@torch.no_grad()
def test_weights_of_a_vision_transformer_fit_images_of_another_size(saved):
    path = saved("timm/vit_tiny_patch16_224", (3, 64, 64))
    model = build("timm/vit_tiny_patch16_224", COLOUR, weights=str(path)).eval()
    assert differing(model, read(path)) - {"head.weight", "head.bias"} == {"pos_embed"}
    assert model(torch.rand(2, *COLOUR)).isfinite().all()


def test_the_second_outputs_that_a_file_of_googlenet_has_are_left_out(tmp_path):
    from torchvision.models import googlenet

    torch.manual_seed(1)
    weights = googlenet(aux_logits=True, init_weights=False, num_classes=CLASSES).state_dict()
    torch.save(weights, tmp_path / "googlenet.pt")
    model = build("torchvision/googlenet", weights=str(tmp_path / "googlenet.pt"))
    assert differing(model, weights) == set()
    assert model.train()(torch.rand(2, *COLOUR)).shape == (2, CLASSES)


# Weights by download


@pytest.fixture
def _no_network(tmp_path, monkeypatch):
    """No address can be found or reached, and nothing has been downloaded before."""
    import huggingface_hub.constants

    def fail(*_, **__):
        raise OSError("the network is down")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # it would try for 46 s


offline = pytest.mark.usefixtures("_no_network")


def put_in_torch_home(home: Path, name: str, weights: dict[str, torch.Tensor]) -> Path:
    from torchvision.models import get_model_weights

    path = home / "torch/hub/checkpoints" / get_model_weights(name).DEFAULT.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(weights, path)
    return path


def put_in_hub_cache(home: Path, name: str, weights: dict[str, torch.Tensor]) -> None:
    import timm
    from safetensors.torch import save_file

    place = home / "hub" / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text("made")
    (place / "snapshots/made").mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, place / "snapshots/made/model.safetensors")


@offline
@pytest.mark.parametrize(
    ("name", "put"),
    [("torchvision/mobilenet_v3_small", put_in_torch_home), ("timm/mobilenetv3_small_050", put_in_hub_cache)],
    ids=["torchvision", "timm"],
)
@torch.no_grad()
def test_imagenet_weights_that_have_been_downloaded_are_used(name, put, saved, tmp_path):
    weights = read(saved(name, num_classes=1000))
    put(tmp_path, name.partition("/")[2], weights)
    fitted, grey = build(name, weights="imagenet"), build(name, GREY, weights="imagenet")
    assert of_head(name, differing(fitted, weights))
    assert fitted.get_submodule(HEADS[name]).weight.shape[0] == CLASSES
    first = next(key for key, value in weights.items() if value.ndim == 4)
    assert torch.allclose(grey.state_dict()[first], weights[first].sum(1, keepdim=True), atol=1e-6)
    assert differing(build(name, num_classes=1000, weights="imagenet"), weights) == set()


@offline
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_0", "googlenet"])
@torch.no_grad()
def test_a_network_with_torchvisions_weights_computes_what_torchvisions_own_does(name, tmp_path):
    from torchvision.models import get_model

    torch.manual_seed(1)
    extra = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    put_in_torch_home(tmp_path, name, get_model(name, weights=None, **extra).state_dict())
    fitted = build(f"torchvision/{name}", (3, 64, 64), 1000, weights="imagenet")
    images, scores = torch.rand(4, 3, 64, 64), []
    for model in (fitted, get_model(name, weights="DEFAULT")):
        torch.manual_seed(0)  # of the dropout: in training the signal of random weights is not lost on the way
        scores.append(model.train()(images))
    assert torch.allclose(*scores, atol=1e-4)


@offline
@pytest.mark.parametrize("name", ["torchvision/resnet18", "resnet18", "timm/resnet18", "timm/mobilenetv3_small_050"])
def test_imagenet_weights_without_a_network_are_refused_with_a_remedy(name):
    with pytest.raises(ModelError, match=r"^weights") as error:
        build(name, weights="imagenet")
    assert name.rpartition("/")[2] in str(error.value)
    assert all(word in str(error.value) for word in ("downloaded", "weights: PATH", "none"))
    assert len(str(error.value).splitlines()) == 1


@offline
@pytest.mark.parametrize("content", [b"", b"<html>moved</html>", "half"])
def test_a_damaged_download_is_refused_by_name(content, saved, tmp_path):
    name = "torchvision/mobilenet_v3_small"
    path = put_in_torch_home(tmp_path, "mobilenet_v3_small", read(saved(name, num_classes=1000)))
    path.write_bytes(path.read_bytes()[:1000] if content == "half" else content)
    with pytest.raises(ModelError, match="mobilenet_v3_small"):
        build(name, weights="imagenet")


def test_an_error_of_timm_is_one_line(monkeypatch):
    import timm

    def fail(*_, **__):
        raise ConnectionError("the hub is down\nand here is a page about it")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ModelError, match=r"timm/resnet18.*the hub is down.*weights: PATH") as error:
        build("timm/resnet18", weights="imagenet")
    assert "a page about it" not in str(error.value)


# All but the last layer frozen


@pytest.fixture(params=["torchvision/resnet18", *SMALL, "timm/vit_tiny_patch16_224"])
def frozen(request, saved) -> tuple[TrainConfig, TrainState]:
    """A run of a network that is frozen but for its last layer."""
    options = {"weights": str(saved(request.param)), "frozen": True}
    config = TrainConfig(model=request.param, model_options=options, optimizer="adamw", lr=0.1, weight_decay=0.1)
    return config, TrainState.create(config, COLOUR, CLASSES, CPU)


def train_a_little(config: TrainConfig, state: TrainState) -> None:
    state.model.train()
    for _ in range(2):
        train_step(config, state, torch.randn(4, *COLOUR) + 3, torch.arange(4))


def test_training_changes_the_last_layer_alone_whatever_the_weight_decay(frozen):
    config, state = frozen
    head = f"model.{HEADS[config.model]}."
    before = {key: value.clone() for key, value in state.model.state_dict().items()}
    train_a_little(config, state)
    changed = differing(state.model, before)
    assert changed == {f"{head}weight", f"{head}bias"}  # and so no statistic of batch normalisation
    assert {key for key, p in state.model.named_parameters() if p.grad is not None} == changed


@torch.no_grad()
def test_what_is_frozen_works_in_training_as_in_evaluation(frozen):
    _, state = frozen
    images = torch.rand(2, *COLOUR)
    trained = state.model.train()(images)
    assert state.model.training
    assert torch.equal(trained, state.model.train()(images))  # no dropout
    assert torch.allclose(trained, state.model.eval()(images), atol=1e-6)
    assert not state.model.training
    assert not any(module.training for module in state.model.modules())


@torch.no_grad()
def test_a_frozen_network_computes_what_it_does_unfrozen(frozen):
    config, state = frozen
    images = torch.rand(2, *COLOUR)
    plain = build(config.model).eval()
    plain.load_state_dict({key.removeprefix("model."): value for key, value in state.model.state_dict().items()})
    assert torch.allclose(plain(images), state.model.eval()(images), atol=1e-5)


def test_a_frozen_run_can_be_continued(frozen, tmp_path):
    config, state = frozen
    train_a_little(config, state)
    state.save(tmp_path / "state.pt")
    again = TrainState.create(config, COLOUR, CLASSES, CPU)
    again.load(tmp_path / "state.pt", CPU)
    assert differing(again.model, state.model.state_dict()) == set()
    torch.manual_seed(5)
    train_a_little(config, state)
    torch.manual_seed(5)
    train_a_little(config, again)
    assert differing(again.model, state.model.state_dict()) == set()


@libraries
def test_random_weights_are_not_frozen(library):
    name = next(name for name in SMALL if name.startswith(library))
    with pytest.raises(ModelError, match=r"^frozen needs weights: imagenet or a file"):
        build(name, frozen=True)


# Names and options


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvision/resnet81", ["'resnet81'", "torchvision", "did you mean 'resnet18'?", "squeezenet1_0"]),
        ("timm/resnet81", ["'resnet81'", "timm", "did you mean 'resnet18'?", "timm.list_models"]),
        ("timm/convnext_ato", ["did you mean 'convnext_atto'?"]),
        ("torchvision/fasterrcnn_resnet50_fpn", ["'fasterrcnn_resnet50_fpn'", "there is: alexnet"]),
        ("torchvision/", ["''", "there is: alexnet"]),
        ("timm/", ["''"]),
        ("torchvison/resnet18", ["'torchvison'", "did you mean 'torchvision'?", "timm, torchvision"]),
        ("keras/resnet50", ["'keras'", "timm, torchvision"]),
        ("resnet81", ["'resnet81'", "did you mean 'resnet18'?", "lenet"]),
    ],
)
@pytest.mark.parametrize("ask", [named_model.option_names, build], ids=["its options", "the network"])
def test_an_unknown_name_is_answered_with_the_nearest(name, words, ask):
    with pytest.raises(UnknownName) as error:
        ask(name)
    assert all(word in str(error.value) for word in words)


def test_an_unknown_set_of_weights_in_a_name_is_refused():
    with pytest.raises((ModelError, UnknownName), match="nonsense"):
        build("timm/resnet18.nonsense")


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/resnet18", "timm/resnet18.a1_in1k", "resnet18"])
def test_the_options_are_known_by_name(name):
    assert named_model.option_names(name) == ["weights", "frozen"]


@small
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ModelError, match=f"{name}.*no_such_option"):
        build(name, no_such_option=1)


@pytest.mark.parametrize("weights", [True, None, 3])
@libraries
def test_weights_that_are_no_name_are_refused(library, weights):
    name = next(name for name in SMALL if name.startswith(library))
    with pytest.raises(ModelError, match="weights"):
        build(name, weights=weights)


def test_where_timm_is_not_installed_its_name_is_answered_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnknownName, match="pip install timm"):
        named_model.option_names("timm/resnet18")
    assert named_model.option_names("torchvision/resnet18")
