"""One trial in a worker: what a step gives, and what it does about damaged checkpoints and full disks."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from searches import plain

from search.trial.data_source import DataSource
from search.trial.runner import TrialRun
from search.trial.task import Task
from trainables import checkpoint_file

PARAMS = {"model": "lenet", "batch_size": 256, "epochs": 6, "lr": 1e-3, "train_fraction": 0.3}
SOURCE = DataSource("digits", "/none", (), 0.1, 0)


def task(folder: Path, **others) -> Task:
    return Task(**{
        "id": "trial-0000", "params": PARAMS, "data": SOURCE.content(),
        "checkpoint": str(folder / "checkpoints" / "trial-0000.pt"), "threads": 1, **others,
    })  # fmt: skip


def steps(run: TrialRun, n: int) -> list[dict]:
    return [plain(run.step()) for _ in range(n)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return steps(TrialRun(task(tmp_path_factory.mktemp("undisturbed"))), 6)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_trial_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path: Path, undisturbed):
    steps(TrialRun(task(tmp_path)), 4)
    damage(Path(task(tmp_path).checkpoint))
    first, *rest = steps(TrialRun(task(tmp_path, epochs_done=4)), 4)
    assert first.pop("lost") == "checkpoint damaged: continues from epoch 3"
    assert [first, *rest] == undisturbed[2:], "the same metrics again, and the loss is said once"


@pytest.mark.parametrize("disaster", ["damaged", "gone"])
def test_a_trial_without_any_whole_checkpoint_begins_anew_and_says_so(tmp_path: Path, undisturbed, disaster):
    steps(TrialRun(task(tmp_path)), 3)
    for path in checkpoint_file.generations(Path(task(tmp_path).checkpoint)):
        damage(path) if disaster == "damaged" else path.unlink()
    first, *rest = steps(TrialRun(task(tmp_path, epochs_done=3)), 6)
    assert first.pop("lost") == f"checkpoint {disaster}: starts again from the beginning"
    assert [first, *rest] == undisturbed


def test_a_whole_checkpoint_is_gone_on_with_in_silence(tmp_path: Path, undisturbed):
    steps(TrialRun(task(tmp_path)), 3)
    assert steps(TrialRun(task(tmp_path, epochs_done=3)), 2) == undisturbed[2:4]


def test_epochs_that_a_lost_driver_took_with_it_are_told_again_one_by_one(tmp_path: Path, undisturbed):
    steps(TrialRun(task(tmp_path)), 6)
    assert steps(TrialRun(task(tmp_path, epochs_done=2)), 4) == undisturbed[2:], (
        "the last alone says that it is the last"
    )


def test_an_error_is_a_failure(tmp_path: Path):
    (result,) = steps(TrialRun(task(tmp_path, params=PARAMS | {"model": "none_such"})), 1)
    assert list(result) == ["failure"]
    assert "none_such" in result["failure"]


# Memory


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch):
    """A device on which so many images fit at once, in training and in evaluation; what it was asked for."""
    forward = torch.nn.Conv2d.forward

    class Memory:
        training = evaluation = 10**9
        asked: list[tuple[bool, int]] = []

    def hooked(layer, images):
        Memory.asked.append((layer.training, len(images)))
        if len(images) > (Memory.training if layer.training else Memory.evaluation):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nand pages more")
        return forward(layer, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", hooked)
    Memory.asked = []
    return Memory


def close(results: list[dict], to: list[dict]) -> bool:
    return all(
        result.keys() == other.keys() and list(result.values()) == pytest.approx(list(other.values()), rel=1e-3)
        for result, other in zip(results, to, strict=True)
    )


def test_a_trial_that_does_not_fit_goes_on_with_fewer_images_at_a_time(tmp_path: Path, memory, undisturbed):
    memory.training = memory.evaluation = 40
    results = steps(TrialRun(task(tmp_path)), 6)
    assert [result.pop("micro_batch") for result in results] == [32] * 6
    assert close(results, undisturbed), "the same batches, the same steps"
    tried = [n for training, n in memory.asked if training and n > 40]
    assert tried == [256, 128, 64], "each size once"


def test_memory_that_runs_out_in_the_middle_costs_no_epoch(tmp_path: Path, memory, undisturbed):
    run = TrialRun(task(tmp_path))
    results = steps(run, 3)
    memory.training = 128
    results += steps(run, 3)
    assert [result.pop("micro_batch", None) for result in results] == [None] * 3 + [128] * 3
    assert close(results, undisturbed)


def test_an_evaluation_that_does_not_fit_leaves_training_as_it_is(tmp_path: Path, memory):
    small = {"params": PARAMS | {"batch_size": 32}}
    whole = steps(TrialRun(task(tmp_path / "whole", **small)), 2)
    memory.asked.clear()
    memory.evaluation = 100
    results = steps(TrialRun(task(tmp_path, **small)), 2)
    assert {result.pop("micro_batch") for result in results} == {63}
    assert [r["train_loss"] for r in results] == [r["train_loss"] for r in whole]
    assert close(results, whole)
    assert max(n for training, n in memory.asked if training) == 32


def test_the_test_set_is_scored_with_fewer_images_at_a_time_too(tmp_path: Path, memory):
    scored = task(tmp_path, params=PARAMS | {"epochs": 1}, score_test=True)
    (whole,) = steps(TrialRun(task(tmp_path / "whole", params=scored.params, score_test=True)), 1)
    memory.evaluation = 300  # the validation set fits, the test set does not
    (result,) = steps(TrialRun(scored), 1)
    assert result.pop("micro_batch") <= 300
    assert close([result], [whole])


def test_what_is_known_to_fit_is_where_a_trial_begins(tmp_path: Path, memory):
    memory.training = memory.evaluation = 40
    (result,) = steps(TrialRun(task(tmp_path, micro_batch=32)), 1)
    assert result["micro_batch"] == 32
    assert max(n for _, n in memory.asked) <= 32


def test_a_trial_of_which_not_one_image_fits_fails_and_says_so(tmp_path: Path, memory):
    memory.training = 0
    (result,) = steps(TrialRun(task(tmp_path)), 1)
    assert list(result) == ["failure"]
    last = result["failure"].strip().splitlines()[-1]
    assert last == (
        "MemoryError: out of memory even with one image at a time: CUDA out of memory. Tried to allocate 2.00 GiB."
    )


def test_a_network_that_does_not_fit_fails_and_says_so(tmp_path: Path, monkeypatch):
    def create(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("trainables.state.TrainState.create", create)
    (failure,) = steps(TrialRun(task(tmp_path)), 1)
    assert "MemoryError: the network does not fit into memory, whatever the batch size" in failure["failure"]


# Real faults of a disk


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of 8 MB."""
    if os.geteuid():
        pytest.skip("only root can mount")
    mount(tmp_path, "-o", "size=8m")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint_whole(small_disk: Path, undisturbed):
    run = TrialRun(task(small_disk))
    path = Path(task(small_disk).checkpoint)
    (first,) = steps(run, 1)
    assert first == undisturbed[0]
    size = path.stat().st_size
    filled = os.statvfs(small_disk)
    (small_disk / "filling").write_bytes(bytes(filled.f_bavail * filled.f_frsize - size // 2))
    (second,) = steps(run, 1)
    assert second == {"unsaved": f"No space left on device: {path.parent}"}
    assert list(path.parent.iterdir()) == [path]
    (small_disk / "filling").unlink()
    assert steps(TrialRun(task(small_disk, epochs_done=1)), 2) == undisturbed[:2]


def test_a_read_only_disk_is_said_and_leaves_the_last_checkpoint_whole(small_disk: Path, undisturbed):
    run = TrialRun(task(small_disk))
    steps(run, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert steps(run, 1) == [{"unsaved": f"Read-only file system: {small_disk}/checkpoints"}]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert steps(TrialRun(task(small_disk, epochs_done=1)), 2) == undisturbed[:2]
