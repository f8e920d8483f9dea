import shutil

import numpy as np
import pytest
from conftest import write_picture_folders
from PIL import Image

from trainables.datasets import image_folder
from trainables.image_data import DataError, DataMissing

CLASSES = ("cat", "dog", "newt")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def write_plain(root, count: int = 10):
    """`pets/<class>/*.png`"""
    write_picture_folders(root, CLASSES, {"pets": count}, size=16)
    return root / "pets"


def write_parts(root, train: str = "train", test: str = "test"):
    return write_picture_folders(root / "pets", CLASSES, {train: 4, test: 2}, size=16)


def pixels(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("train_data", "test_data")])
def test_train_and_test_folders_are_the_parts(tmp_path, train, test):
    place = write_parts(tmp_path, train, test)
    data = image_folder.load(tmp_path, folder="pets")
    assert (data.name, data.classes, data.input_shape) == ("pets", CLASSES, (3, 16, 16))
    for part, images, labels in (
        (train, data.train_images, data.train_labels),
        (test, data.test_images, data.test_labels),
    ):
        for label, name in enumerate(CLASSES):
            written = np.stack([np.asarray(Image.open(path)) for path in (place / part / name).iterdir()])
            assert pixels(images[labels == label]) == pixels(written)
            assert (labels == label).sum() == len(written)


def test_a_fifth_of_each_class_is_held_out_of_a_plain_folder(tmp_path):
    write_plain(tmp_path, 10)
    data = image_folder.load(tmp_path, folder="pets")
    assert data.classes == CLASSES
    assert np.bincount(data.train_labels).tolist() == [8, 8, 8]
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert len(pixels(data.train_images) | pixels(data.test_images)) == 30


def test_the_held_out_fifth_is_always_the_same(tmp_path, monkeypatch):
    write_plain(tmp_path)
    first = image_folder.load(tmp_path, folder="pets")
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path / "another cache"))
    again = image_folder.load(tmp_path, folder="pets")
    assert np.array_equal(first.test_images, again.test_images)
    assert first.fingerprint == again.fingerprint


def test_the_same_pictures_elsewhere_have_the_same_fingerprint(tmp_path):
    write_parts(tmp_path)
    shutil.copytree(tmp_path / "pets", tmp_path / "copied")
    assert (
        image_folder.load(tmp_path, folder="pets").fingerprint
        == image_folder.load(tmp_path, folder="copied").fingerprint
    )


def test_the_names_of_the_classes_are_part_of_the_fingerprint(tmp_path):
    write_parts(tmp_path)
    shutil.copytree(tmp_path / "pets", tmp_path / "renamed")
    for part in ("train", "test"):
        (tmp_path / "renamed" / part / "newt").rename(tmp_path / "renamed" / part / "olm")
    assert (
        image_folder.load(tmp_path, folder="pets").fingerprint
        != image_folder.load(tmp_path, folder="renamed").fingerprint
    )


def test_a_size_resizes_all(tmp_path):
    place = write_plain(tmp_path)
    Image.new("RGB", (40, 20), (200, 0, 0)).save(place / "cat/wide.png")
    data = image_folder.load(tmp_path, folder="pets", image_size=24)
    assert data.input_shape == (3, 24, 24)
    assert len(data.train_labels) + len(data.test_labels) == 31


def test_two_sizes_of_one_folder_do_not_mix(tmp_path):
    write_plain(tmp_path)
    sizes = [image_folder.load(tmp_path, folder="pets", image_size=size).input_shape[1] for size in (20, 24, 20)]
    assert sizes == [20, 24, 20]


def test_grey_and_transparent_pictures_become_colour(tmp_path):
    place = write_plain(tmp_path)
    Image.new("L", (16, 16), 90).save(place / "cat/grey.png")
    Image.new("RGBA", (16, 16), (10, 20, 30, 128)).save(place / "cat/clear.png")
    data = image_folder.load(tmp_path, folder="pets")
    loaded = pixels(data.train_images) | pixels(data.test_images)
    assert np.full((16, 16, 3), 90, np.uint8).tobytes() in loaded
    assert np.tile(np.array([10, 20, 30], np.uint8), (16, 16, 1)).tobytes() in loaded


def refused(root, *named: str) -> None:
    with pytest.raises(DataError) as error:
        image_folder.load(root, folder="pets")
    assert not isinstance(error.value, DataMissing)
    for text in named:
        assert text in str(error.value)


def test_differing_sizes_are_refused_by_name(tmp_path):
    path = write_plain(tmp_path) / "cat/wide.png"
    Image.new("RGB", (40, 20)).save(path)
    refused(tmp_path, str(path), "40x20", "image_size")


def test_a_test_folder_of_another_size_is_refused(tmp_path):
    write_picture_folders(tmp_path / "pets", CLASSES, {"train": 4}, size=16)
    write_picture_folders(tmp_path / "pets", CLASSES, {"test": 2}, size=32)
    refused(tmp_path, "32x32", "16x16", "image_size")


def test_a_damaged_picture_is_named(tmp_path):
    path = write_plain(tmp_path) / "dog/3.png"
    path.write_bytes(path.read_bytes()[:50])
    refused(tmp_path, str(path))


def test_a_class_without_pictures_is_named(tmp_path):
    place = write_plain(tmp_path)
    (place / "eft").mkdir()
    (place / "eft/notes.txt").write_text("none yet")
    refused(tmp_path, str(place / "eft"))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_in_one_part_only_is_named(tmp_path, part):
    place = write_parts(tmp_path)
    shutil.copytree(place / part / "cat", place / part / "lynx")
    refused(tmp_path, str(place), "lynx")


@pytest.mark.parametrize(("have", "lack"), [("train", "test"), ("test", "train")])
def test_one_part_alone_is_refused(tmp_path, have, lack):
    place = write_parts(tmp_path)
    shutil.rmtree(place / lack)
    refused(tmp_path, str(place), f"no {lack} folder")


def test_no_folder_is_missing(tmp_path):
    with pytest.raises(DataMissing, match=str(tmp_path / "pets")):
        image_folder.load(tmp_path, folder="pets")


def test_a_folder_without_classes_is_missing(tmp_path):
    (tmp_path / "pets").mkdir()
    with pytest.raises(DataMissing, match=str(tmp_path / "pets")):
        image_folder.load(tmp_path, folder="pets")


def test_real_photographs_load(real_data):
    data = image_folder.load(real_data, folder="flowers", image_size=32)
    assert data.classes == ("daisy", "dandelion", "rose")
    assert np.bincount(data.train_labels).tolist() == [100] * 3
    assert np.bincount(data.test_labels).tolist() == [200] * 3
    assert data.input_shape == (3, 32, 32)
