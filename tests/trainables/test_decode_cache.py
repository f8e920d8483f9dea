import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from other_processes import counted, decode_for_ever, load_with_others, made, wait_until, write_for_ever

from trainables.cache import cached, canonical_order

SPAWN = multiprocessing.get_context("spawn")
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "source").write_text("pictures")
    return tmp_path / "cache"


def entries(cache) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def load(tmp_path, **options):
    return cached("made", [tmp_path / "source"], lambda: counted(tmp_path), **options)


def decodes(tmp_path) -> int:
    return len((tmp_path / "decodes").read_text().splitlines())


def assert_whole(data) -> None:
    assert all(np.array_equal(getattr(data, name), getattr(made(), name)) for name in ARRAYS)
    assert data.classes == made().classes


@pytest.mark.process
@pytest.mark.usefixtures("cache")
def test_processes_that_start_at_once_decode_once(tmp_path):
    with ProcessPoolExecutor(4, mp_context=SPAWN) as pool:
        loaded = list(pool.map(load_with_others, [tmp_path] * 4, [4] * 4))
    assert decodes(tmp_path) == 1
    assert loaded == [{name: getattr(made(), name).tobytes() for name in ARRAYS}] * 4


@pytest.mark.parametrize("stay", [decode_for_ever, write_for_ever], ids=["decoding", "writing"])
def test_a_killed_process_leaves_nothing_half_written(tmp_path, cache, stay):
    process = SPAWN.Process(target=stay, args=(tmp_path,))
    process.start()
    try:
        wait_until(lambda: (tmp_path / "stays").exists() or not process.is_alive())
        assert process.is_alive()
    finally:
        process.kill()
        process.join()
    assert_whole(load(tmp_path))
    assert len(entries(cache)) == 1, "what the killed process had begun to write is still there"


def test_a_failed_decode_leaves_nothing(tmp_path, cache):
    def fail():
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        cached("made", [tmp_path / "source"], fail)
    assert entries(cache) == []
    assert_whole(load(tmp_path))


def test_a_full_disk_leaves_nothing(tmp_path, cache, monkeypatch):
    save = np.save

    def fail_at_the_second(path, array):
        if "labels" in path.name:
            raise OSError("no space left on device")
        save(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", fail_at_the_second)
        with pytest.raises(OSError, match="no space"):
            load(tmp_path)
    assert entries(cache) == []
    assert_whole(load(tmp_path))


def test_a_second_load_decodes_nothing(tmp_path, cache):
    first, second = load(tmp_path), load(tmp_path)
    assert decodes(tmp_path) == 1
    assert_whole(second)
    assert (first.fingerprint, first.mean, first.std) == (second.fingerprint, second.mean, second.std)
    assert len(entries(cache)) == 1


def test_a_touched_source_makes_a_new_entry(tmp_path, cache):
    load(tmp_path)
    before = (tmp_path / "source").stat()
    os.utime(tmp_path / "source", ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert_whole(load(tmp_path))
    assert decodes(tmp_path) == 2
    assert len(entries(cache)) == 2


def test_other_options_make_a_new_entry(tmp_path, cache):
    load(tmp_path, options="size 16")
    load(tmp_path, options="size 32")
    assert len(entries(cache)) == 2


def test_writing_into_a_loaded_array_leaves_the_cache_alone(tmp_path, cache):
    load(tmp_path).train_images[:] = 0
    assert_whole(load(tmp_path))


def test_a_channel_that_never_varies_has_no_zero_deviation(tmp_path, cache):
    data = cached(
        "flat", [tmp_path / "source"], lambda: replace(made(), train_images=np.full((6, 4, 4, 3), 255, np.uint8))
    )
    assert data.mean == pytest.approx([1, 1, 1])
    assert all(0 < s < 1e-3 for s in data.std)


def with_validation(pixels: int = 7):
    """A data set with a validation set of its own."""
    return replace(
        made(), validation_images=np.full((3, 4, 4, 3), pixels, np.uint8), validation_labels=np.array([0, 1, 1])
    )


def test_a_validation_set_of_its_own_is_kept(tmp_path, cache):
    decoded = with_validation()
    for _ in range(2):  # decoded, then from the cache
        data = cached("made", [tmp_path / "source"], lambda: decoded)
        assert_whole(data)
        assert np.array_equal(data.validation_images, decoded.validation_images)
        assert np.array_equal(data.validation_labels, decoded.validation_labels)
        assert data.input_shape == (3, 4, 4)


@pytest.mark.usefixtures("cache")
def test_without_one_there_is_none(tmp_path):
    data = load(tmp_path)
    assert data.validation_images is None
    assert data.validation_labels is None


@pytest.mark.usefixtures("cache")
def test_the_fingerprint_covers_the_validation_set(tmp_path):
    contents = (made(), with_validation(), with_validation(8))
    fingerprints = {
        cached(f"made {i}", [tmp_path / "source"], lambda: content).fingerprint  # noqa: B023 (called at once)
        for i, content in enumerate(contents)
    }
    assert len(fingerprints) == 3


def test_the_canonical_order_is_that_of_the_contents():
    content = made()
    images, labels = content.train_images.copy(), content.train_labels
    images[1] = images[0]  # one picture under two labels
    order = canonical_order(images, labels)
    assert sorted(order) == list(range(6))
    for seed in range(5):
        mix = np.random.default_rng(seed).permutation(6)
        again = canonical_order(images[mix], labels[mix])
        assert np.array_equal(images[mix][again], images[order])
        assert np.array_equal(labels[mix][again], labels[order])
