import shutil

import numpy as np
import pytest
from made_data import FLOWERS, write_flowers
from PIL import Image

from trainables.datasets import flowers
from trainables.image_data import DataError, DataMissing


def test_its_folders_are_the_parts_and_the_classes(tmp_path):
    place = write_flowers(tmp_path)
    data = flowers.load(tmp_path)
    assert (data.name, data.classes, data.input_shape) == ("flowers", FLOWERS, (3, 32, 32))
    assert data.validation_labels is None
    for part, images, labels in (
        ("train_data", data.train_images, data.train_labels),
        ("test_data", data.test_images, data.test_labels),
    ):
        for label, name in enumerate(FLOWERS):
            written = {np.asarray(Image.open(path)).tobytes() for path in (place / part / name).iterdir()}
            assert {image.tobytes() for image in images[labels == label]} == written
            assert (labels == label).sum() == len(written)


def test_all_can_be_resized(tmp_path):
    write_flowers(tmp_path)
    data = flowers.load(tmp_path, image_size=20)
    assert data.train_images.shape == (12, 20, 20, 3)
    assert data.test_images.shape == (6, 20, 20, 3)
    assert flowers.load(tmp_path).input_shape == (3, 32, 32)


def test_no_folder_is_missing(tmp_path):
    with pytest.raises(DataMissing, match=str(tmp_path / "flowers")):
        flowers.load(tmp_path)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("train_data/daisy/broken.jpg", "train_data/daisy/broken.jpg"),
        ("test_data/rose/broken.jpg", "test_data/rose/broken.jpg"),
    ],
)
def test_a_damaged_picture_is_named(tmp_path, broken, named):
    place = write_flowers(tmp_path)
    whole = next((place / broken).parent.iterdir()).read_bytes()
    (place / broken).write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DataError, match=named) as error:
        flowers.load(tmp_path)
    assert not isinstance(error.value, DataMissing)


def test_a_class_that_is_in_one_part_only_is_named(tmp_path):
    place = write_flowers(tmp_path)
    shutil.rmtree(place / "test_data" / "rose")
    with pytest.raises(DataError, match="rose is in one only"):
        flowers.load(tmp_path)


def test_the_real_photographs_load(real_data):
    data = flowers.load(real_data)
    assert (data.name, data.classes, data.input_shape) == ("flowers", FLOWERS, (3, 256, 256))
    assert np.bincount(data.train_labels).tolist() == [100] * 3
    assert np.bincount(data.test_labels).tolist() == [200] * 3
    assert all(0.2 < mean < 0.6 for mean in data.mean)  # photographs, neither black nor white
