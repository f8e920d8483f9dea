import io
import pickle
import shutil
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_data import (
    CLASSES,
    cifar10_parts,
    made_part,
    png,
    write_cifar10_batches,
    write_cifar10_folders,
    write_cifar10_parquet,
    write_parquet,
)
from PIL import Image

from trainables.datasets import cifar10
from trainables.image_data import DataError, DataMissing

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
FORMS = (write_cifar10_batches, write_cifar10_parquet, write_cifar10_folders)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(cifar10, "HOST", "localhost.invalid")


def assert_same(one, other):
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)
    assert one.fingerprint == other.fingerprint
    assert (one.mean, one.std, one.classes) == (other.mean, other.std, other.classes)


def test_all_forms_give_identical_arrays(tmp_path):
    parts = cifar10_parts()
    for seed, write in enumerate(FORMS):
        write(tmp_path / str(seed), parts, seed)
    batches, parquet, folders = (cifar10.load(tmp_path / str(seed)) for seed in range(3))
    assert_same(batches, parquet)
    assert_same(batches, folders)


@pytest.mark.parametrize("write", FORMS)
def test_each_picture_keeps_its_pixels_and_label(tmp_path, write):
    parts = cifar10_parts()
    write(tmp_path, parts)
    data = cifar10.load(tmp_path)
    assert data.classes == CLASSES
    for name in ("train", "test"):
        images, labels = getattr(data, f"{name}_images"), getattr(data, f"{name}_labels")
        loaded = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        assert loaded == {image.tobytes(): label for image, label in zip(*parts[name], strict=True)}
        assert len(labels) == len(parts[name][1])


def test_another_pixel_gives_another_fingerprint(tmp_path):
    parts = cifar10_parts()
    write_cifar10_parquet(tmp_path / "one", parts)
    parts["test"][0][0, 0, 0, 0] += 1
    write_cifar10_parquet(tmp_path / "other", parts)
    assert cifar10.load(tmp_path / "one").fingerprint != cifar10.load(tmp_path / "other").fingerprint


def test_the_batches_may_lie_in_a_folder_of_the_data_sets_name(tmp_path):
    parts = cifar10_parts()
    write_cifar10_batches(tmp_path / "plain", parts)
    write_cifar10_batches(tmp_path / "nested" / "cifar10", parts)
    assert_same(cifar10.load(tmp_path / "plain"), cifar10.load(tmp_path / "nested"))


def test_parquet_may_be_in_several_files_and_sub_folders(tmp_path):
    parts = cifar10_parts()
    write_cifar10_parquet(tmp_path / "one", parts)
    images, labels = parts["train"]
    for i, half in enumerate((slice(None, 15), slice(15, None))):
        write_parquet(tmp_path / f"two/cifar10/plain_text/train-0000{i}-of-00002.parquet", (images[half], labels[half]))
    write_parquet(tmp_path / "two/cifar10/plain_text/test-00000-of-00001.parquet", parts["test"])
    assert_same(cifar10.load(tmp_path / "one"), cifar10.load(tmp_path / "two"))


def test_all_forms_of_real_pictures_give_identical_arrays(tmp_path, real_data):
    """500 of the real pictures, the parquet and the folders holding the published PNG bytes themselves."""
    import pyarrow.parquet

    source = next((real_data / "cifar10").glob("test-*.parquet"))
    table = pyarrow.parquet.ParquetFile(source).read_row_group(0).slice(0, 500)
    encoded = [picture["bytes"] for picture in table["img"].to_pylist()]
    images = np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in encoded])
    labels = table["label"].to_numpy()
    cut = {"train": slice(0, 350), "test": slice(350, 500)}
    (tmp_path / "parquet/cifar10").mkdir(parents=True)
    for name, part in cut.items():
        pyarrow.parquet.write_table(
            table.slice(part.start, part.stop - part.start), tmp_path / f"parquet/cifar10/{name}-0.parquet"
        )
        for i in range(part.start, part.stop):
            path = tmp_path / "folders/cifar10" / name / CLASSES[labels[i]] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded[i])
    write_cifar10_batches(
        tmp_path / "batches", {name: (images[part], labels[part]) for name, part in cut.items()}, seed=3
    )
    parquet = cifar10.load(tmp_path / "parquet")
    assert len(parquet.train_labels) == 350
    assert len(parquet.test_labels) == 150
    assert_same(parquet, cifar10.load(tmp_path / "folders"))
    assert_same(parquet, cifar10.load(tmp_path / "batches"))


def refused(root, *named: str) -> None:
    with pytest.raises(DataError) as error:
        cifar10.load(root)
    assert not isinstance(error.value, DataMissing)  # what is damaged is not to be substituted
    for text in named:
        assert text in str(error.value)


@pytest.mark.parametrize("damage", [b"no picture at all", b"", "half", "bomb"], ids=["text", "empty", "half", "bomb"])
def test_a_damaged_picture_in_a_folder_is_named(tmp_path, damage):
    path = write_cifar10_folders(tmp_path, cifar10_parts()) / "train/cat/broken.png"
    whole = png(np.zeros((32, 32, 3), np.uint8))
    if damage == "half":
        damage = whole[: len(whole) // 2]
    elif damage == "bomb":  # a damaged header can claim any size; that of a BMP has no checksum
        header = io.BytesIO()
        Image.new("RGB", (32, 32)).save(header, "BMP")
        damage = header.getvalue()[:18] + b"\xff\xff\x00\x00" * 2 + header.getvalue()[26:]
    path.write_bytes(damage)
    refused(tmp_path, str(path))


def test_a_damaged_picture_in_parquet_is_named_by_its_row(tmp_path):
    parts = cifar10_parts()
    place = write_cifar10_parquet(tmp_path, parts)
    write_parquet(
        place / "test-00000-of-00001.parquet",
        parts["test"],
        bytes_of=lambda i: b"?" if (i == parts["test"][0][3]).all() else png(i),
    )
    refused(tmp_path, str(place / "test-00000-of-00001.parquet"), "row 3")


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_truncated_parquet_file_is_named(tmp_path, name):
    path = write_cifar10_parquet(tmp_path, cifar10_parts()) / f"{name}-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    refused(tmp_path, str(path))


def test_a_parquet_file_without_the_column_is_named(tmp_path):
    place = write_cifar10_parquet(tmp_path, cifar10_parts())
    write_parquet(place / "test-00000-of-00001.parquet", cifar10_parts()["test"], image_column="photograph")
    refused(tmp_path, str(place / "test-00000-of-00001.parquet"), "img")


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_missing_parquet_part_is_named(tmp_path, name):
    place = write_cifar10_parquet(tmp_path, cifar10_parts())
    (place / f"{name}-00000-of-00001.parquet").unlink()
    refused(tmp_path, str(place), f"{name}-*.parquet")


@pytest.mark.parametrize("damage", ["half", "text", "empty", "other"])
def test_a_damaged_batch_is_named(tmp_path, damage):
    path = write_cifar10_batches(tmp_path, cifar10_parts()) / "data_batch_3"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "text": b"<html>",
            "empty": b"",
            "other": pickle.dumps({"fine_labels": [1]}),
        }[damage]
    )
    refused(tmp_path, str(path))


@pytest.mark.parametrize("name", ["data_batch_4", "test_batch"])
def test_a_missing_batch_is_named(tmp_path, name):
    path = write_cifar10_batches(tmp_path, cifar10_parts()) / name
    path.unlink()
    refused(tmp_path, str(path))


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_missing_part_of_the_folders_is_named(tmp_path, name):
    place = write_cifar10_folders(tmp_path, cifar10_parts())
    shutil.rmtree(place / name)
    refused(tmp_path, str(place), name)


def test_a_missing_class_folder_is_named(tmp_path):
    place = write_cifar10_folders(tmp_path, cifar10_parts())
    shutil.rmtree(place / "test/frog")
    refused(tmp_path, str(place), "frog")


def test_a_picture_of_another_size_among_the_folders_is_named(tmp_path):
    path = write_cifar10_folders(tmp_path, cifar10_parts()) / "train/cat/large.png"
    path.write_bytes(png(np.zeros((64, 64, 3), np.uint8)))
    refused(tmp_path, str(path), "64x64")


def test_a_picture_of_another_size_in_parquet_is_named(tmp_path):
    parts = cifar10_parts()
    place = write_cifar10_parquet(tmp_path, parts)
    large = png(np.zeros((64, 64, 3), np.uint8))
    write_parquet(
        place / "test-00000-of-00001.parquet",
        parts["test"],
        bytes_of=lambda i: large if (i == parts["test"][0][3]).all() else png(i),
    )
    refused(tmp_path, str(place / "test-00000-of-00001.parquet"), "64x64")


@pytest.mark.parametrize("write", FORMS[1:])
def test_pictures_all_of_another_size_are_refused_with_their_place(tmp_path, write):
    place = write(tmp_path, {"train": made_part(10, 2, 1, size=64), "test": made_part(10, 1, 2, size=64)})
    refused(tmp_path, str(place), "64x64")


@pytest.mark.parametrize("write", FORMS[:2])
def test_a_label_beyond_the_classes_is_refused_with_its_place(tmp_path, write):
    parts = cifar10_parts()
    parts["train"][1][5] = 10
    refused(tmp_path, str(write(tmp_path, parts)))


def test_nothing_there_and_no_network_is_missing(tmp_path):
    with pytest.raises(DataMissing) as error:
        cifar10.load(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "localhost.invalid" in str(error.value)


@pytest.fixture
def _reachable(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: SimpleNamespace(close=lambda: None))


def download_by(monkeypatch, fetch):
    """Stands in for torchvision's, which takes seconds to import and needs the network."""
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    monkeypatch.setitem(
        sys.modules, "torchvision.datasets", SimpleNamespace(CIFAR10=lambda root, download: fetch(root))
    )


@pytest.mark.usefixtures("_reachable")
@pytest.mark.parametrize(
    "error", [OSError("connection reset"), RuntimeError("File not found or corrupted.")], ids=lambda e: type(e).__name__
)
def test_a_failed_download_is_missing(tmp_path, monkeypatch, error):
    def fail(root: str) -> None:
        raise error

    download_by(monkeypatch, fail)
    with pytest.raises(DataMissing, match=str(error)):
        cifar10.load(tmp_path)


@pytest.mark.usefixtures("_reachable")
def test_one_that_starts_during_a_download_waits_for_it(tmp_path, monkeypatch):
    half_there, go_on, downloads = threading.Event(), threading.Event(), []

    def fetch(root: str) -> None:
        if not downloads:
            downloads.append(root)
            place = write_cifar10_batches(Path(root), cifar10_parts())
            last = place / "test_batch"
            content = last.read_bytes()
            last.unlink()
            half_there.set()
            go_on.wait()
            last.write_bytes(content)

    download_by(monkeypatch, fetch)
    outcomes = []

    def load() -> None:
        try:
            outcomes.append(cifar10.load(tmp_path))
        except DataError as error:
            outcomes.append(error)

    first, second = threading.Thread(target=load), threading.Thread(target=load)
    first.start()
    assert half_there.wait(60)
    second.start()
    second.join(0.5)
    go_on.set()
    first.join()
    second.join()
    assert [type(outcome).__name__ for outcome in outcomes] == ["ImageData", "ImageData"], outcomes
    assert_same(*outcomes)
