"""Speed without a stopwatch: how often what is slow is done.

Decodes are counted in test_decode_cache, tracking calls in test_tracking, worker processes in test_ray_search.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PROJECT
from made_data import made_split
from torch.utils._python_dispatch import TorchDispatchMode

from contract.steps import EpochDone
from search.trial.data_source import DataSource
from search.trial.runner import TrialRun
from search.trial.task import Task
from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.state import TrainState
from trainables.training import FINITE_CHECK_STEPS, train

CPU = torch.device("cpu")
READS = ("aten::_local_scalar_dense", "aten::nonzero")
"""What makes a GPU wait: a value is read, or a shape depends on one."""


class Counted(TorchDispatchMode):
    """Counts what torch does, and of what kind of tensor an indexing is."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name
        self.calls[f"{name} {args[0].dtype}" if name == "aten::index" else name] += 1
        return function(*args, **(kwargs or {}))


def epoch(batch_size: int, augment: str) -> tuple[Counter[str], int]:
    """What one epoch does, and its steps."""
    parts = made_split()
    config = TrainConfig(batch_size=batch_size, augment=augment)
    loader = Loader(parts, config, CPU)
    state = TrainState.create(config, parts.data.input_shape, len(parts.data.classes), CPU)
    with Counted() as counted:
        next(train(config, loader, state))
    return counted.calls, len(loader)


@pytest.mark.parametrize("augment", ["none", "flip+crop"])
def test_a_step_reads_nothing_back_from_the_device(augment: str):
    (few, steps), (many, more) = epoch(16, augment), epoch(4, augment)
    assert 3 * steps <= more < FINITE_CHECK_STEPS
    assert [few[name] for name in READS] == [many[name] for name in READS]
    assert sum(few[name] for name in READS) <= 4, "the sums of an epoch and of its validation"


@pytest.mark.parametrize("augment", ["none", "flip+crop"])
def test_images_are_copied_whole_and_not_byte_by_byte(augment: str):
    calls, steps = epoch(8, augment)
    assert calls["aten::index torch.uint8"] == 0
    assert calls["aten::index_select"] >= steps


def test_a_step_costs_few_calls_beside_the_network():
    """All that is called in a step, of which torch spends some 60 on LeNet itself: it must not creep up."""
    (few, steps), (many, more) = epoch(16, "none"), epoch(4, "none")
    assert (sum(many.values()) - sum(few.values())) / (more - steps) < 110


def test_ray_need_not_wait_for_torch_before_a_worker_counts_as_started(tmp_path: Path):
    """What is sent to a worker is all that it must import to count as started."""
    sent = tmp_path / "sent"
    send = "import cloudpickle, sys, search.backends.ray_tune as t; "
    send += "cloudpickle.dump(t.trainable(), open(sys.argv[1], 'wb'))"
    take = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb')); print(*sys.modules)"
    subprocess.run([sys.executable, "-c", send, str(sent)], cwd=PROJECT, check=True)
    taken = subprocess.run(
        [sys.executable, "-c", take, str(sent)], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    imported = set(taken.stdout.split())
    assert "search.backends.ray_worker" in imported
    assert not {"torch", "optuna", "search.backends.ray_tune", "search.orchestration.session"} & imported


@pytest.mark.process
def test_what_workers_import_in_advance_leaves_the_gpus_alone():
    """Which of them a worker may see, Ray says later, and CUDA looks once."""
    script = (
        "import importlib, torch\n"
        "from search.backends.ray_private import PRELOAD\n"
        "asked = []\n"
        "for name in ('_cuda_init', '_cuda_getDeviceCount'):\n"
        "    setattr(torch._C, name, lambda name=name: asked.append(name) or 0)\n"
        "for name in PRELOAD['RAY_preload_python_modules'].split(','):\n"
        "    importlib.import_module(name)\n"
        "assert not asked, asked\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)


def test_a_spec_and_its_data_are_read_without_torch(tmp_path: Path):
    """So that what is wrong with them is told at once, and Ray starts while torch is being imported."""
    read = (
        "import sys, search.launch as l, search.preflight.checks as c; from pathlib import Path;"
        "c.find_data(l.load(Path(sys.argv[1])), Path(sys.argv[2]), []); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", read, "spaces/quickstart.yaml", str(tmp_path)],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    imported = set(done.stdout.split())
    assert "search.orchestration.session" in imported
    assert not {"torch", "ray", "mlflow"} & imported


def task(folder: Path, **params: Any) -> Task:
    source = DataSource("digits", "/none", (), 0.1, 0)
    config = {"model": "lenet", "batch_size": 256, "epochs": 2, "train_fraction": 0.3} | params
    return Task(id="trial-0000", params=config, data=source.content(), checkpoint=str(folder / "trial.pt"), threads=1)


def accuracies(run: TrialRun) -> list[tuple[float, float]]:
    results = [run.step() for _ in range(2)]
    assert all(isinstance(result, EpochDone) for result in results), results
    return [(result.metrics["train_loss"], result.metrics["val_accuracy"]) for result in results]


def pollute() -> None:
    """What a model of somebody's own may leave behind."""
    torch.manual_seed(99)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(2)


@pytest.fixture
def restored():
    yield
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_num_threads(1)


def test_nothing_of_a_trial_leaks_into_the_next_in_its_worker(tmp_path: Path, restored):
    alone = accuracies(TrialRun(task(tmp_path / "alone")))
    other = {"optimizer": "sgd", "augment": "flip+crop", "precision": "bfloat16", "seed": 7, "loss": "squared_error"}
    accuracies(TrialRun(task(tmp_path / "other", **other)))
    pollute()
    assert accuracies(TrialRun(task(tmp_path / "after"))) == alone
    assert torch.get_num_threads() == 1
