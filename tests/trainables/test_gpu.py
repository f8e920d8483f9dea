"""Training on a GPU: mixed precision, the CPU's batches, going on from a saved state."""

import pytest
import torch
from made_data import made_split

from trainables.config import TrainConfig
from trainables.loader import Loader
from trainables.state import TrainState
from trainables.train import autocast_for, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
GPU, CPU = torch.device("cuda"), torch.device("cpu")


def run(split, config: TrainConfig, device: torch.device = GPU):
    loader = Loader(split, config, device)
    state = TrainState.create(config, split.data.input_shape, len(split.data.classes), device)
    return loader, state, train(config, loader, state)


def test_a_gpu_is_given_the_batches_of_the_cpu():
    split, config = made_split(), TrainConfig(augment="flip+crop", batch_size=16)
    for epoch in range(2):
        batches = [list(run(split, config, device)[0].training(epoch)) for device in (CPU, GPU)]
        for (images, labels), (on_gpu, gpu_labels) in zip(*batches, strict=True):
            torch.testing.assert_close(on_gpu.cpu(), images)
            assert torch.equal(gpu_labels.cpu(), labels)


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


def test_a_state_saved_on_a_gpu_goes_on_there_and_on_a_cpu(tmp_path):
    split, config = made_split(), TrainConfig(epochs=3, batch_size=16)
    _, state, epochs = run(split, config)
    next(epochs)
    state.save(tmp_path / "state.pt")
    for device in (GPU, CPU):
        _, resumed, rest = run(split, config, device)
        resumed.load(tmp_path / "state.pt", device)
        assert [m.epoch for m in rest] == [2, 3]
