import numpy as np
import pytest
from made_data import DIGITS_MAT, digits_mat_content, digits_mat_parts, write_digits_mat

from trainables.datasets import digits_mat
from trainables.image_data import DataError, DataMissing
from trainables.split import default_validation, split

DIGITS = tuple("0123456789")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def by_part(data) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {part: (getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")) for part in DIGITS_MAT}


def test_each_part_keeps_its_images_and_digits_in_order(tmp_path):
    parts = digits_mat_parts()
    write_digits_mat(tmp_path, digits_mat_content(parts))
    data = digits_mat.load(tmp_path)
    assert (data.name, data.classes, data.input_shape) == ("digits_mat", DIGITS, (1, 16, 16))
    for part, (images, labels) in by_part(data).items():
        assert np.array_equal(images, parts[part][0]), part
        assert np.array_equal(labels, parts[part][1]), part


def test_an_image_is_the_right_way_up(tmp_path):
    """A row of a MATLAB matrix is an image column by column: here a stroke along the top, a short one at the left."""
    upright = np.zeros((16, 16), np.uint8)
    upright[0, :] = 200
    upright[:5, 0] = 90
    content = digits_mat_content(digits_mat_parts())
    for pixels, _ in DIGITS_MAT.values():
        content[pixels][7] = [upright[row, column] for column in range(16) for row in range(16)]
    write_digits_mat(tmp_path, content)
    for part, (images, _) in by_part(digits_mat.load(tmp_path)).items():
        assert np.array_equal(images[7, :, :, 0], upright), part


def test_label_ten_is_the_digit_zero_and_all_others_are_themselves(tmp_path):
    content = digits_mat_content(digits_mat_parts())
    published = np.resize(np.arange(1, 11), 30)
    for _, numbers in DIGITS_MAT.values():
        content[numbers] = published.astype(np.uint8)[:, None]
    write_digits_mat(tmp_path, content)
    data = digits_mat.load(tmp_path)
    for part, (_, labels) in by_part(data).items():
        assert labels.tolist() == (published % 10).tolist(), part
        assert [data.classes[label] for label in labels[:10]] == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"]


@pytest.mark.parametrize("shape", [(1, -1), (-1,)], ids=["a row", "without a second dimension"])
def test_labels_may_lie_in_a_row(tmp_path, shape):
    content = digits_mat_content(digits_mat_parts())
    expected = digits_mat_parts()["train"][1]
    content["y"] = content["y"].reshape(shape)
    write_digits_mat(tmp_path, content)
    assert np.array_equal(digits_mat.load(tmp_path).train_labels, expected)


def test_the_file_may_lie_directly_in_the_data_directory(tmp_path):
    content = digits_mat_content(digits_mat_parts())
    write_digits_mat(tmp_path / "nested", content)
    write_digits_mat(tmp_path / "plain", content, "digits.mat")
    nested, plain = (digits_mat.load(tmp_path / name) for name in ("nested", "plain"))
    assert nested.fingerprint == plain.fingerprint
    assert np.array_equal(nested.train_images, plain.train_images)


@pytest.mark.parametrize("part", list(DIGITS_MAT))
@pytest.mark.parametrize("kind", [0, 1], ids=["pixels", "labels"])
def test_every_pixel_and_label_is_part_of_the_fingerprint(tmp_path, part, kind):
    content = digits_mat_content(digits_mat_parts())
    write_digits_mat(tmp_path / "one", content)
    content[DIGITS_MAT[part][kind]][3] = content[DIGITS_MAT[part][kind]][3] % 9 + 1
    write_digits_mat(tmp_path / "other", content)
    assert digits_mat.load(tmp_path / "one").fingerprint != digits_mat.load(tmp_path / "other").fingerprint


def test_it_is_validated_on_its_own_validation_set(tmp_path):
    write_digits_mat(tmp_path, digits_mat_content(digits_mat_parts(per_class=5)))
    data = digits_mat.load(tmp_path)
    assert default_validation(data) == "own"
    parts = split(data, validation="own", train_fraction=1, seed=0)
    assert parts.validation_part == "validation"
    assert (len(parts.train), len(parts.validation)) == (50, 50)


def test_no_file_is_missing(tmp_path):
    with pytest.raises(DataMissing) as error:
        digits_mat.load(tmp_path)
    assert str(tmp_path / "digits" / "digits.mat") in str(error.value)


def refused(root, *named: str) -> None:
    with pytest.raises(DataError) as error:
        digits_mat.load(root)
    assert not isinstance(error.value, DataMissing)  # what is damaged is not to be substituted
    for text in named:
        assert text in str(error.value)


@pytest.mark.parametrize("damage", ["half", "text", "empty"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = write_digits_mat(tmp_path, digits_mat_content(digits_mat_parts()))
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "text": b"<html>no such page</html>", "empty": b""}[damage])
    refused(tmp_path, str(path), "fetch it again")


@pytest.mark.parametrize("name", [name for pair in DIGITS_MAT.values() for name in pair])
def test_a_file_without_one_of_the_matrices_is_named_with_what_it_lacks(tmp_path, name):
    content = digits_mat_content(digits_mat_parts())
    del content[name]
    path = write_digits_mat(tmp_path, content)
    refused(tmp_path, str(path), f"'{name}'", "X, y, Xvalid, yvalid, Xtest, ytest")


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("X", np.zeros((30, 400), np.uint8), ["400 pixels"]),
        ("Xvalid", np.zeros((29, 256), np.uint8), ["29 rows", "30 labels"]),
        ("ytest", np.full((31, 1), 1, np.uint8), ["30 rows", "31 labels"]),
        ("y", np.arange(30, dtype=np.uint8)[:, None] % 10, ["labels from 0 to 9", "not 1 to 10"]),
        ("yvalid", np.full((30, 1), 11, np.uint8), ["labels from 11 to 11"]),
        ("ytest", np.array(["ten"] * 30), []),
    ],
    ids=["other images", "too few images", "too many labels", "labels from 0", "labels above 10", "words"],
)
def test_other_contents_are_refused_by_name(tmp_path, name, wrong, words):
    path = write_digits_mat(tmp_path, digits_mat_content(digits_mat_parts()) | {name: wrong})
    refused(tmp_path, str(path), *words)


def test_matlabs_usual_numbers_are_taken_as_well(tmp_path):
    """A matrix is of doubles in MATLAB unless one says otherwise."""
    content = digits_mat_content(digits_mat_parts())
    write_digits_mat(tmp_path / "bytes", content)
    write_digits_mat(tmp_path / "doubles", {name: matrix.astype(np.float64) for name, matrix in content.items()})
    of_bytes, of_doubles = (digits_mat.load(tmp_path / name) for name in ("bytes", "doubles"))
    assert of_bytes.fingerprint == of_doubles.fingerprint


def test_pixels_between_0_and_1_are_not_taken_for_bytes(tmp_path):
    """As MATLAB users scale them: cut to whole numbers, all images would be black."""
    content = digits_mat_content(digits_mat_parts())
    path = write_digits_mat(tmp_path, content | {"X": content["X"] / 255})
    refused(tmp_path, str(path))


def test_a_refused_file_leaves_nothing_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path / "cache"))
    content = digits_mat_content(digits_mat_parts())
    write_digits_mat(tmp_path, content | {"y": content["y"][:3]})
    refused(tmp_path)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_the_real_digits_load(real_data):
    data = digits_mat.load(real_data)
    assert (data.classes, data.input_shape) == (DIGITS, (1, 16, 16))
    counts = {part: len(labels) for part, (_, labels) in by_part(data).items()}
    assert counts == {"train": 5000, "validation": 5000, "test": 1000}
    assert np.bincount(data.train_labels).tolist() == [513, 513, 497, 508, 480, 505, 507, 476, 473, 528]


def test_the_real_digits_are_the_right_way_up(real_data):
    """A seven has its stroke at the top and ends below; an upside-down or transposed one has not."""
    data = digits_mat.load(real_data)
    sevens = np.asarray(data.train_images[data.train_labels == 7], np.float64)[..., 0].mean(0)
    ink = sevens / sevens.max()
    assert ink[:4].sum() > 2 * ink[-4:].sum()  # not upside down
    assert ink[:4].sum() > 1.5 * ink[:, :4].sum()  # not transposed
    ones = np.asarray(data.train_images[data.train_labels == 1], np.float64)[..., 0].mean(0)
    assert ones.sum(0).std() > 2 * ones.sum(1).std()  # upright: much ink in few columns, some in every row
