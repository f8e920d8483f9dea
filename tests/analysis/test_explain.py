"""What a saved model does: real ones of a small search, and made ones whose numbers can be worked out on paper."""

import io
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import by_hand
import numpy as np
import pytest
import torch
from conftest import write_picture_folders, write_spec
from mlflow.entities import Run, RunData, RunTag
from PIL import Image
from sklearn.metrics import classification_report as sklearn_report
from torch import nn

import trainables.models
from analysis import explain, page
from analysis import record as records
from analysis.errors import Missing
from analysis.explanation import grad_cam_sheet, own_pictures, saved_model, sheets, tiling
from analysis.explanation.activations import feature_maps, grad_cam
from analysis.explanation.predictions import Predictions, predictions, short, weights
from analysis.plots import class_accuracy, confusion
from analysis.record import Record
from contract.record import FINGERPRINT, WEIGHTS_FILE
from trainables import module_folder, named_model
from trainables.datasets import image_folder
from trainables.loader import Loader

torch.set_num_threads(1)
COLOURS = ("black", "blue", "green", "red")


# A real search


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Record:
    """LeNet on the digits, two trials of two epochs, the better one confirmed on two seeds."""
    from search import run

    place = tmp_path_factory.mktemp("trained")
    shutil.copy(empty_database, place / "mlflow.db")
    spec = write_spec(
        place / "mine.yaml", space={"lr": {"grid": [1e-4, 3e-3]}, "batch_size": 32}, sampler={"name": "grid"},
        scheduler={"name": "none", "max_epochs": 2}, confirm={"top": 1, "seeds": 2}, budget={},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run.main([str(spec), "--in-process", "--no-report"]) == 0
    return records.load("mine", tracking_uri=f"sqlite:///{place}/mlflow.db")


def unconfirmed(record: Record) -> Record:
    return replace(record, confirmations=record.confirmations.iloc[:0])


def accuracies(found: Predictions) -> list[float]:
    return [np.mean(p.argmax(1) == found.labels) for p in found.probabilities]


def test_the_confirmed_models_score_on_the_test_set_what_the_search_wrote_down(trained):
    found = predictions(trained)
    assert [model.seed for model in found.models] == [1000, 1001]
    assert accuracies(found) == pytest.approx(trained.winner["metrics.test_accuracy"].tolist(), abs=1e-6)
    assert found.images == "360 test images"
    assert all(p.dtype == np.float32 and p.shape == (360, 10) for p in found.probabilities)
    assert found.probabilities[0].sum(1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(found.pictures(np.array([3])), found.model.data.data.test_images[[3]])


def test_an_unconfirmed_model_never_sees_the_test_set(trained, monkeypatch):
    monkeypatch.setattr(Loader, "test", lambda self: pytest.fail("the test set was read"))
    best = unconfirmed(trained)
    found = predictions(best)
    assert accuracies(found) == pytest.approx(best.winner["metrics.val_accuracy"].tolist(), abs=1e-6)
    assert found.images == f"{len(found.labels)} validation images"
    assert np.array_equal(
        found.pictures(np.arange(5)), found.model.data.data.train_images[found.model.data.validation[:5]]
    )
    titles = [item.title for item in explain.items(best) if isinstance(item, page.Figure | page.Table)]
    assert all(found.images in title for title in titles)


def test_predictions_are_computed_once(trained, monkeypatch):
    first = predictions(trained)
    monkeypatch.setattr(saved_model, "load", lambda *_: pytest.fail("loaded again"))
    assert predictions(trained) is first
    with pytest.raises(pytest.fail.Exception):
        predictions(replace(trained, data_dir=Path("elsewhere")))


def test_everything_is_made_of_a_trained_network(trained):
    items = explain.items(trained)
    assert [(type(item).__name__, getattr(item, "name", "")) for item in items] == [
        ("Prose", ""), ("Figure", "class_accuracy"), ("Figure", "confusion"), ("Table", "classification_report"),
        ("Picture", "mistakes"), ("Picture", "grad_cam"), ("Picture", "feature_maps"),
    ]  # fmt: skip
    for item in items[-3:]:
        picture = Image.open(io.BytesIO(item.png))
        assert picture.width > 300
        assert len(picture.getcolors(1 << 24)) > 20, "something is drawn"
    assert all(len(item.alt) > 40 for item in items if isinstance(item, page.Figure | page.Picture))


# Saved by hand: pictures of the user's own, and random weights


def saved(place: Path, model: str = "lenet", *, seeds: tuple[int, ...] = (1000,), **options: Any) -> Record:
    """The record of a search whose winner has random weights, on pictures under `place`/data/mine."""
    write_picture_folders(place / "data" / "mine", COLOURS, {"train": 10, "test": 6})
    data = image_folder.load(place / "data", folder="mine")
    torch.manual_seed(0)
    for seed in seeds:
        built = named_model.build(model, data.input_shape, 4, options)
        params = {"model": model, "seed": seed, "epochs": 9, **options}
        torch.save({"params": params, "model": built.state_dict()}, place / f"{seed}.pt")
    source = {
        "name": "image_folder", "root": str(place / "data"), "options": [["folder", "mine"]], "validation": 0.2,
        "split_seed": 0, "substitute_for": None, "title": "image_folder", "classes": list(COLOURS),
    }  # fmt: skip
    confirmed = [{**by_hand.trial([0.5], model=model), "number": 0, "seed": seed, "test": 0.5} for seed in seeds]
    made = by_hand.record([by_hand.trial([0.5], model=model)], confirmations=confirmed, data=source)
    runs = made.confirmations.assign(run_id=[f"{place}/{seed}" for seed in seeds])
    tags = made.parent.data.tags | {FINGERPRINT: data.fingerprint}
    parent = Run(made.parent.info, RunData(tags=[RunTag(*item) for item in tags.items()]))
    return replace(made, parent=parent, confirmations=runs, artifact=lambda run_id, _: Path(f"{run_id}.pt"))


def loaded(record: Record) -> list[saved_model.SavedModel]:
    return saved_model.load(record, weights(record))


def changed(record: Record, **params: Any) -> None:
    """Write other hyperparameters beside the winner's weights."""
    path = record.artifact(record.winner["run_id"].iloc[0], WEIGHTS_FILE)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"params": content["params"] | params}, path)


def test_the_models_come_by_seed_whatever_the_order_of_their_runs(tmp_path):
    assert [model.seed for model in loaded(saved(tmp_path, seeds=(1002, 1000, 1001)))] == [1000, 1001, 1002]


def test_images_that_have_moved_are_found_where_the_record_says(tmp_path):
    record = saved(tmp_path)
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(Missing, match=r"cannot be loaded: no folder .*--data-dir"):
        loaded(record)
    moved = replace(record, data_dir=tmp_path / "moved")
    assert len(predictions(moved).labels) == 24


def test_other_images_than_it_was_trained_on_are_refused(tmp_path):
    record = saved(tmp_path)
    write_picture_folders(tmp_path / "other" / "mine", COLOURS, {"train": 10, "test": 6}, seed=1)
    with pytest.raises(Missing, match="are other ones"):
        loaded(replace(record, data_dir=tmp_path / "other"))


def test_weights_that_are_gone_damaged_or_do_not_fit_are_told_apart(tmp_path):
    record = saved(tmp_path)
    path = record.artifact(record.winner["run_id"].iloc[0], WEIGHTS_FILE)

    def nothing(run_id: str, name: str) -> Path:
        raise Missing(f"{name} of run {run_id} is not there.")

    with pytest.raises(Missing, match=r"with seed 1000 are not in MLflow.*is not there"):
        loaded(replace(record, artifact=nothing))
    for params in ({"model": "fashionnet"}, {"model": "no_such"}, {"pooling": "none"}, {"lr": -1}):
        record = saved(tmp_path / str(params))
        changed(record, **params)
        with pytest.raises(Missing, match="do not fit"):
            loaded(record)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(Missing, match="damaged"):
        loaded(replace(record, artifact=lambda run_id, name: path))


def test_a_fine_tuned_model_needs_neither_the_weights_it_began_from_nor_a_download(tmp_path):
    record = saved(tmp_path, "torchvision/squeezenet1_1")
    path = record.artifact(record.winner["run_id"].iloc[0], WEIGHTS_FILE)
    content = torch.load(path, weights_only=True)
    plain = loaded(record)[0].network
    frozen = {f"model.{key}": value for key, value in content["model"].items()}
    torch.save({"params": content["params"] | {"weights": "gone.pt", "frozen": True}, "model": frozen}, path)
    (model,) = loaded(record)
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(model.network(image), plain(image))


def test_what_cannot_be_made_is_replaced_by_the_reason(tmp_path):
    items = explain.items(saved(tmp_path, "mlp"))
    absent = [item for item in items if isinstance(item, page.Absent)]
    assert [item.title for item in absent] == [grad_cam_sheet.TITLE, sheets.MAPS_TITLE]
    assert all("no convolution" in item.reason for item in absent)
    assert len(items) == 7
    shutil.rmtree(tmp_path / "data")
    (absent,) = explain.items(replace(saved(tmp_path / "again"), data_dir=tmp_path))
    assert "cannot be loaded" in absent.reason


def test_own_pictures_take_the_place_of_the_data_sets(tmp_path):
    record = saved(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    *_, cam, maps = explain.items(record, own)
    assert f"Nothing in {own} can be read" in cam.reason
    assert isinstance(maps, page.Absent)
    Image.new("RGB", (300, 200), "red").save(own / "house.png")
    (own / "notes.txt").write_text("no picture")
    *_, cam, maps = explain.items(record, own)
    assert cam.alt.startswith("1 image,")
    assert "notes.txt" in cam.note
    assert maps.alt.startswith("At the top house.png")


# Own pictures


def test_own_pictures_are_resized_as_the_data_sets_were(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "a.webp", lossless=True)
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "c.txt").write_text("no picture")
    own = own_pictures.read(tmp_path, (3, 16, 24))
    expected = np.asarray(Image.fromarray(pixels).resize((24, 16), Image.Resampling.BILINEAR))
    assert own.names == ["a.webp", "b.png"]
    assert np.array_equal(own.images, np.stack([expected, expected]))
    assert own.note == "Cannot be read as pictures: c.txt."
    grey = own_pictures.read(tmp_path, (1, 16, 24)).images
    assert grey.shape == (2, 16, 24, 1)
    assert np.abs(grey[0, ..., 0] - expected @ [0.299, 0.587, 0.114]).max() <= 1


def test_a_folder_without_pictures_is_refused_and_a_large_one_cut(tmp_path):
    with pytest.raises(Missing, match="no folder"):
        own_pictures.read(tmp_path / "nowhere", (3, 8, 8))
    with pytest.raises(Missing, match="Nothing in"):
        own_pictures.read(tmp_path, (3, 8, 8))
    for i in range(own_pictures.MAX_PICTURES + 3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i:02}.png")
    own = own_pictures.read(tmp_path, (3, 8, 8))
    assert own.images.shape == (own_pictures.MAX_PICTURES, 8, 8, 3)
    assert own.note == "3 more files are left out."


# Made predictions


def made(labels: list[int], *predicted: list[int], n_classes: int = 0, confidence: list[float] | None = None) -> Any:
    """Predictions of one model a list; images of plain colour, the i-th of grey level i."""
    n_classes = n_classes or max(max(row) for row in (labels, *predicted)) + 1
    probabilities = []
    for row in predicted:
        p = np.zeros((len(labels), n_classes), np.float32)
        p[np.arange(len(labels)), row] = confidence or 1
        probabilities.append(p)
    levels = np.arange(len(labels), dtype=np.uint8)
    return Predictions(
        models=[SimpleNamespace(seed=1000 + i) for i in range(len(predicted))], probabilities=probabilities,
        labels=np.array(labels), classes=tuple(f"c{i}" for i in range(n_classes)), images="these images",
        model_name="trial 0", part=levels[:, None, None, None].repeat(8, 1).repeat(8, 2),
        indices=np.arange(len(labels)),
    )  # fmt: skip


@pytest.fixture
def given(monkeypatch):
    """Lets the plots see made predictions."""

    def give(found: Predictions) -> None:
        for module in (class_accuracy, confusion, explain):
            monkeypatch.setattr(module, "predictions", lambda record: found)

    return give


def test_accuracy_by_class_is_a_row_a_class_and_seed_the_best_first(given):
    given(made([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0], n_classes=3))
    frame = class_accuracy.prepare(None)
    assert frame[["class", "seed", "images", "accuracy", "mean"]].to_numpy().tolist() == [
        ["c1", 1000, 2, 1, 0.75], ["c1", 1001, 2, 0.5, 0.75],
        ["c0", 1000, 4, 0.75, 0.625], ["c0", 1001, 4, 0.5, 0.625],
    ]  # fmt: skip
    assert "c1 is classified best (75.0 % correctly)" in class_accuracy.describe(frame, None)


def test_of_many_classes_the_ends_are_shown_and_that_is_said(given):
    right = [list(range(120))[i] if j < i else 0 for i in range(120) for j in range(119)]
    given(made([i for i in range(120) for _ in range(119)], right))
    frame = class_accuracy.prepare(None)
    seeds, _ = class_accuracy.draw(frame, None).data
    ranked = ["c0", *(f"c{i}" for i in range(119, 0, -1))]
    assert list(seeds.y) == ranked[:25] + ranked[-25:]
    assert "25 best and the 25 worst of 120" in class_accuracy.describe(frame, None)


def test_the_confusion_matrix_counts_pairs_and_their_part_of_the_true_class(given):
    given(made([0, 0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 1, 0, 2]))
    frame = confusion.prepare(None)
    assert frame[["true", "predicted", "images", "part"]].to_numpy().tolist() == [
        ["c0", "c0", 2, 0.5], ["c0", "c1", 1, 0.25], ["c0", "c2", 1, 0.25],
        ["c1", "c0", 1, 0.5], ["c1", "c1", 1, 0.5], ["c2", "c2", 1, 1],
    ]  # fmt: skip
    assert "57.1 % of these images" in confusion.describe(frame, None)
    assert "c1 is taken for c0 in 50.0 % of its images (1)" in confusion.describe(frame, None)


def test_only_mistakes_are_coloured(given):
    given(made([0, 0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 1, 0, 2]))
    _, mistakes, numbers = confusion.draw(confusion.prepare(None), None).data
    assert np.array_equal(mistakes.z, [[0, 25, 25], [50, 0, 0], [0, 0, 0]])
    assert mistakes.customdata[0][0].tolist() == [2, 50], "counts are there to be read"
    assert list(numbers.text) == ["50", "25", "25", "50", "50", "100"]


def test_of_many_classes_those_known_worst_are_shown(given):
    labels = [i for i in range(60) for _ in range(2)]
    predicted = [i if j or i < 10 else 0 for i in range(60) for j in range(2)]
    given(made(labels, predicted))
    frame = confusion.prepare(None)
    _, mistakes = confusion.draw(frame, None).data
    assert list(mistakes.y) == [f"c{i}" for i in range(10, 60)]
    assert not mistakes.z.any(), "they are all taken for one that is not shown"
    assert "50 of 60 classes" in confusion.describe(frame, None)


def test_a_faultless_model_is_shown_without_mistakes(given):
    found = made([0, 1, 2], [0, 1, 2])
    given(found)
    frame = confusion.prepare(None)
    assert confusion.describe(frame, None) == "The model of trial 0 gets 100.0 % of these images right."
    assert not confusion.draw(frame, None).data[1].z.any()
    with pytest.raises(Missing, match="no mistake"):
        sheets.mistakes(found)


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]), ([0, 1, 2, 2, 2], [0, 0, 0, 0, 2]), ([0, 0, 3], [1, 0, 3])],
    ids=["plain", "never predicted", "no images"],
)
def test_the_classification_report_is_scikit_learns(given, labels, predicted):
    given(made(labels, predicted))
    expected = sklearn_report(labels, predicted, output_dict=True, zero_division=0)
    expected.pop("accuracy", None)
    report = explain.classification_report(None).set_index("class")
    for name, key in (("macro average", "macro avg"), ("weighted average", "weighted avg")):
        assert report.loc[name].tolist() == pytest.approx(list(expected.pop(key).values()))
    assert len(report) == 2 + len(expected)
    for label, values in expected.items():
        assert report.loc[f"c{label}"].tolist() == pytest.approx(list(values.values()))


def pixel(picture: page.Picture, x: int, y: int) -> int:
    return Image.open(io.BytesIO(picture.png)).getpixel((tiling.MARGIN_PX + x, tiling.MARGIN_PX + y))[0]


def test_the_surest_mistake_comes_first():
    found = made([0, 0, 0, 0], [1, 1, 0, 1], confidence=[0.6, 0.9, 1, 0.8])
    picture = sheets.mistakes(found)
    step = sheets.MISTAKE_PX + tiling.GAP_PX
    assert [pixel(picture, 80 + i * step, 80) for i in range(3)] == [1, 3, 0]
    assert picture.alt.startswith("3 of the 3 mistakes on these images")
    assert "The most confident one takes class c0 for c1 with 90.0 %." in picture.alt


def test_a_sheet_of_mistakes_is_cut_and_says_so():
    picture = sheets.mistakes(made([0] * 40, [1] * 40))
    assert picture.alt.startswith("24 of the 40 mistakes")


def test_a_long_line_is_cut_to_its_tile():
    image = np.zeros((8, 8, 1), np.uint8)
    sizes = [
        Image.open(io.BytesIO(tiling.draw([tiling.Row([tiling.Tile((image,), (text,))])], 160))).size
        for text in ("a", "a" * 300)
    ]
    assert sizes[0] == sizes[1]


def test_a_long_name_keeps_its_ends():
    assert short("large kind of flower 12", 10) == "larg…er 12"
    assert short("flower 12", 10) == "flower 12"


# Grad-CAM and feature maps


def convolutions(model: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in model.modules())


@pytest.mark.parametrize("name", [*module_folder.names(trainables.models), "mlp with a convolution"])
def test_every_model_can_be_looked_into(name):
    torch.manual_seed(0)
    options = {"convolution": 4} if " " in name else {}
    model = named_model.build(name.split()[0], (3, 96, 64), 10, options).eval()
    inputs = torch.randn(1, 3, 96, 64)
    classes = torch.arange(10)
    if not convolutions(model):
        for look in (lambda: grad_cam(model, inputs, classes[:1]), lambda: feature_maps(model, inputs)):
            with pytest.raises(Missing, match="no convolution"):
                look()
        return
    maps = grad_cam(model, inputs.expand(10, -1, -1, -1), classes)
    assert maps.shape == (10, 96, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert any(one.max() == 1 and one.min() < 0.99 for one in maps)
    found = feature_maps(model, inputs)
    assert len(found) == convolutions(model)
    assert all(map_.shape[0] == 1 and map_.ndim == 4 for map_ in found.values())
    assert not any(module._forward_hooks for module in model.modules())


def tiny(*after: nn.Module) -> nn.Module:
    """Maps x and -x, averaged; class 0 is 2 * first + second, class 1 is second."""
    head = nn.Linear(2, 2, bias=False)
    conv = nn.Conv2d(1, 2, 1, bias=False)
    model = nn.Sequential(conv, *after, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), head)
    conv.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    head.weight.data = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    return model.eval()


IMAGE = torch.tensor([[1.0, 2.0], [-1.0, 4.0]]).view(1, 1, 2, 2)


def test_grad_cam_is_what_paper_and_pencil_give():
    twice = IMAGE.expand(2, -1, -1, -1)
    maps = grad_cam(tiny(), twice, torch.tensor([0, 1]))
    assert torch.allclose(maps[0], torch.tensor([[0.25, 0.5], [0, 1]])), "2x - x, what is negative dropped"
    assert torch.allclose(maps[1], torch.tensor([[0.0, 0.0], [1, 0]])), "-x"
    assert not grad_cam(tiny(), -IMAGE.abs(), torch.tensor([0])).any(), "nothing speaks for it"


def test_grad_cam_looks_behind_the_rectification():
    (map_,) = grad_cam(tiny(nn.ReLU(inplace=True)), IMAGE, torch.tensor([0]))
    assert torch.allclose(map_, torch.tensor([[0.25, 0.5], [0.125, 1]])), "2 relu(x) + relu(-x)"


def test_grad_cam_works_where_weights_are_frozen_and_gradients_off():
    model = tiny().requires_grad_(False)
    with torch.no_grad():
        maps = grad_cam(model, IMAGE, torch.tensor([0]))
    assert torch.allclose(maps[0], torch.tensor([[0.25, 0.5], [0, 1]]))


def test_feature_maps_are_a_convolutions_own_though_a_relu_overwrites_them():
    (maps,) = feature_maps(tiny(nn.ReLU(inplace=True)), IMAGE).values()
    assert torch.equal(maps, torch.cat([IMAGE, -IMAGE], 1))


def test_the_classes_known_worst_are_looked_at(tmp_path):
    found = predictions(saved(tmp_path))
    wrong = replace(
        found, probabilities=[np.eye(4, dtype=np.float32)[[0] * 6 + [1, 1, 1, 2, 2, 2] + [2] * 6 + [0] * 6]]
    )
    picture = grad_cam_sheet.grad_cam(wrong, None)
    # red: all wrong, 2 of them; blue: 2 right and 2 wrong; black: no mistake, 2; green comes after it
    assert picture.alt.startswith("8 images")
