"""Training on a GPU: mixed precision, the CPU's batches, continuing from a saved state."""

import math
import subprocess
import sys

import pytest
import torch
from made_data import made_split

from contract.metrics import PEAK_MEMORY_MB, TRAIN_LOSS
from contract.steps import EpochDone
from trainables.config import AUGMENTATIONS, TrainConfig
from trainables.loader import Loader
from trainables.pooling import StochasticPool2d
from trainables.precision import autocast_for
from trainables.state import TrainState
from trainables.training import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
GPU, CPU = torch.device("cuda"), torch.device("cpu")


def run(split, config: TrainConfig, device: torch.device = GPU):
    loader = Loader(split, config, device)
    state = TrainState.create(config, split.data.input_shape, len(split.data.classes), device)
    return loader, state, train(config, loader, state)


@pytest.mark.parametrize(
    ("params", "levels"),
    [
        ({"augment": "flip+crop"}, 0),
        ({"augment": "rotate+shift+scale"}, 3),
        ({"augment": "gamma+jitter"}, 4),
        ({"enlarge": "rotate+gamma"}, 1),
        ({"resize": 24}, 0),
    ],
    ids=str,
)
def test_a_gpu_is_given_the_batches_of_the_cpu(params, levels):
    """To within the grey levels by which rounding may differ, one a change of the image."""
    split, config = made_split(), TrainConfig.from_params({"batch_size": 16, "normalize": "none", **params})
    for epoch in range(2):
        batches = [list(run(split, config, device)[0].training(epoch)) for device in (CPU, GPU)]
        for (images, labels), (on_gpu, gpu_labels) in zip(*batches, strict=True):
            torch.testing.assert_close(on_gpu.cpu(), images, atol=levels / 255 + 1e-5, rtol=0)
            assert torch.equal(gpu_labels.cpu(), labels)


@pytest.mark.parametrize(
    "params",
    [
        {"model": "cnn_sp", "clip_norm": 1.0},
        {"loss": "squared_error", "refit_last_layer": True},
        {"early_stopping": "val_loss", "augment": "+".join(AUGMENTATIONS)},
        {"enlarge": "rotate+gamma", "batch_size": 256, "resize": 20, "model": "mlp"},
    ],
    ids=str,
)
def test_every_choice_of_training_runs_on_a_gpu(params):
    *_, last = run(made_split(), TrainConfig.from_params({"epochs": 2, "batch_size": 16, **params}))[2]
    assert math.isfinite(last.train_loss)
    assert math.isfinite(last.val_loss)


@pytest.mark.parametrize("model", ["lenet", "cnn_sp"])
def test_a_diverged_run_ends_on_a_gpu(model):
    config = TrainConfig(model=model, optimizer="sgd", lr=1e20, schedule="constant", epochs=3, batch_size=16)
    *_, last = run(made_split(), config)[2]
    assert last.epoch < 3
    assert not math.isfinite(last.train_loss)


def test_the_last_layer_is_fitted_alike_on_both():
    params = {"model": "mlp", "depth": 0, "resize": 4, "epochs": 1, "refit_last_layer": True, "precision": "float32"}
    split, config = made_split(), TrainConfig.from_params(params)
    losses = [[m.val_loss for m in run(split, config, device)[2]] for device in (CPU, GPU)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_stochastic_pooling_is_the_same_in_evaluation_and_draws_from_its_windows_in_training():
    x = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0)).relu()
    pooling = StochasticPool2d(3, 3)
    windows = x.unfold(2, 3, 3).unfold(3, 3, 3).flatten(4)
    drawn = pooling(x.to(GPU)).cpu()
    assert (windows == drawn[..., None]).any(-1).all()
    torch.testing.assert_close(pooling.eval()(x.to(GPU)).cpu(), pooling(x))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_it_learns_in_each_precision(precision):
    split = made_split()
    config = TrainConfig(precision=precision, epochs=8, batch_size=16, lr=3e-3)
    *_, last = run(split, config)[2]
    assert last.val_accuracy > 2 / 3
    assert 0 < last.peak_memory_mb < 2000


def test_auto_is_mixed_precision_on_a_gpu():
    with autocast_for(TrainConfig(), GPU):
        product = torch.ones(2, 2, device=GPU) @ torch.ones(2, 2, device=GPU)
    assert product.dtype is (torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32)


def test_a_state_saved_on_a_gpu_continues_there_and_on_a_cpu(tmp_path):
    split, config = made_split(), TrainConfig(epochs=3, batch_size=16)
    _, state, epochs = run(split, config)
    next(epochs)
    state.save(tmp_path / "state.pt")
    for device in (GPU, CPU):
        _, resumed, rest = run(split, config, device)
        resumed.load(tmp_path / "state.pt", device)
        assert [m.epoch for m in rest] == [2, 3]


def test_where_memory_does_not_suffice_the_micro_batch_shrinks(tmp_path):
    """A real shortage: this process may use a part of the device only."""
    from search.trial.data_source import DataSource
    from search.trial.runner import TrialRun
    from search.trial.task import Task

    params = {"model": "resnet18", "batch_size": 1024, "resize": 128, "epochs": 1, "train_fraction": 0.8}
    source = DataSource("digits", "/none", (), 0.1, 0)
    task = Task(
        id="t", params=params, data=source.content(), checkpoint=str(tmp_path / "t.pt"), threads=1, device="cuda"
    )
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(3e9 / total)
    try:
        result = TrialRun(task).step()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert isinstance(result, EpochDone), result
    assert result.micro_batch < 1024
    assert math.isfinite(result.metrics[TRAIN_LOSS])
    assert result.metrics[PEAK_MEMORY_MB] < 3000


def test_a_worker_sees_the_gpus_that_it_is_given_after_it_has_imported_torch():
    """Ray's first workers import torch before they are given a GPU, or none."""
    script = (
        "import os, torch, torch._dynamo\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = ''\n"
        "assert torch.cuda.device_count() == 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
