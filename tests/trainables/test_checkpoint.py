"""The files of a checkpoint: every damage is detected, and one whole generation is always there."""

import errno
import random
from pathlib import Path

import pytest
import torch
from made_data import made_split, weights

from contract.files import NEW
from trainables import checkpoint_file
from trainables.checkpoint_file import DamagedCheckpoint
from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.state import TrainState
from trainables.training import train

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=3, batch_size=16, optimizer="sgd")


def fresh() -> TrainState:
    split = made_split()
    return TrainState.create(CONFIG, split.data.input_shape, len(split.data.classes), CPU)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A checkpoint of two epochs, a generation each."""
    state = fresh()
    for _, _ in zip(range(2), train(CONFIG, Loader(made_split(), CONFIG, CPU), state), strict=False):
        state.save(tmp_path / "state.pt")
    return tmp_path / "state.pt"


def damages(content: bytes, n: int, seed: int = 0):
    """Flipped bytes anywhere, truncations, and a piece overwritten by another."""
    draw = random.Random(seed)
    for i in range(n):
        damaged = bytearray(content)
        place = draw.randrange(len(content))
        if i % 3 == 0:
            damaged[place] ^= 1 << draw.randrange(8)
        elif i % 3 == 1:
            del damaged[place:]
        else:
            other = draw.randrange(len(content) - 64)
            damaged[place : place + 64] = content[other : other + 64]
        if damaged != content:
            yield bytes(damaged)


def test_every_damage_is_detected(tmp_path: Path):
    path = tmp_path / "file"
    checkpoint_file.write(path, random.Random(1).randbytes(500))
    whole = path.read_bytes()
    cut = [whole[:n] for n in range(len(whole))]
    flipped = [whole[:n] + bytes([whole[n] ^ bit]) + whole[n + 1 :] for n in range(len(whole)) for bit in (1, 128)]
    for damaged in [*cut, *flipped, whole + b"\0"]:
        path.write_bytes(damaged)
        with pytest.raises(DamagedCheckpoint):
            checkpoint_file.read(path)


def test_a_damaged_state_is_never_loaded(trained: Path):
    state, before = fresh(), weights(fresh().model)
    for damaged in damages(trained.read_bytes(), 300):
        trained.write_bytes(damaged)
        with pytest.raises(DamagedCheckpoint):
            state.load(trained, CPU)
    assert torch.equal(weights(state.model), before)
    assert state.epoch == 0


def test_the_last_but_one_takes_the_place_of_a_damaged_one(trained: Path):
    trained.write_bytes(trained.read_bytes()[:-1000])
    state = fresh()
    assert state.restore(trained, CPU)
    assert state.epoch == state.metrics.epoch == 1
    assert checkpoint_file.generations(trained) != []
    # The damaged one does not push the whole one out at the next save.
    state.save(trained)
    again = fresh()
    assert not again.restore(trained, CPU)
    assert again.epoch == 1


def test_both_damaged_is_a_beginning(trained: Path):
    for path in checkpoint_file.generations(trained):
        path.write_bytes(b"")
    state = fresh()
    assert state.restore(trained, CPU)
    assert (state.epoch, state.metrics) == (0, None)
    assert torch.equal(weights(state.model), weights(fresh().model))


def test_undamaged_and_absent_ones_say_nothing(trained: Path, tmp_path: Path):
    state = fresh()
    assert not state.restore(trained, CPU)
    assert state.epoch == 2
    assert not fresh().restore(tmp_path / "none", CPU)


def test_a_saved_state_is_a_file_that_torch_reads(trained: Path):
    for path in checkpoint_file.generations(trained):
        assert torch.load(path, weights_only=True).keys() >= {"model", "epoch"}


@pytest.mark.parametrize("step", ["write", "first rename", "second rename"])
def test_whenever_writing_is_cut_off_a_whole_generation_is_there(tmp_path: Path, monkeypatch, step):
    path = tmp_path / "state"
    for content in (b"one", b"two"):
        checkpoint_file.write(path, content)
    calls = []

    def replace(self, target):
        calls.append(target)
        if len(calls) == {"write": 0, "first rename": 1, "second rename": 2}[step]:
            raise OSError(errno.EIO, "cut off")
        return rename(self, target)

    rename = Path.replace
    if step == "write":
        monkeypatch.setattr("builtins.open", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    else:
        monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match=r"cut off|full"):
        checkpoint_file.write(path, b"three")
    monkeypatch.undo()
    assert checkpoint_file.read(checkpoint_file.generations(path)[0]) == b"two"
    assert not list(tmp_path.glob("*.new"))


def test_what_is_removed_leaves_nothing(tmp_path: Path):
    path = tmp_path / "state"
    for content in (b"one", b"two"):
        checkpoint_file.write(path, content)
    (tmp_path / f"state.4711{NEW}").write_bytes(b"half of one")  # left by a writer that was killed
    checkpoint_file.keep_newest(path)
    assert list(tmp_path.iterdir()) == [path]
    assert checkpoint_file.read(path) == b"two"
    checkpoint_file.remove(path)
    checkpoint_file.remove(path)
    assert not list(tmp_path.iterdir())
