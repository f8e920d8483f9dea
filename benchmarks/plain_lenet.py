"""A control: LeNet-5 at the published settings by a hand-written script, with nothing of the platform's trainer.

    python -m benchmarks.plain_lenet --seed 0 [--augment]

The usual script's modules and loop, Adam and StepLR. If it lands
where `benchmarks.reference --only R1/lenet` does, what is short of the published figure is not short by our trainer.
"""

import argparse
import os
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.peers.usual_script import Images, LeNet, accuracy_of, train_epoch
from trainables.datasets import cifar10


def main() -> None:
    """Train for 20 epochs, print the test accuracy after each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--augment", action="store_true", help="flip + crop with padding 4")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    data = cifar10.load(options.data_dir)
    augmentation = [v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4)] if options.augment else []
    half = v2.Normalize([0.5] * 3, [0.5] * 3)
    images = Images(data.train_images, data.train_labels, *augmentation, normalize=half)
    training = DataLoader(images, batch_size=128, shuffle=True)
    test = DataLoader(Images(data.test_images, data.test_labels, normalize=half), batch_size=1000)
    model = LeNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.1)
    for epoch in range(20):
        train_epoch(model, optimizer, training)
        schedule.step()
        accuracy = accuracy_of(model, test)
        print(f"seed {options.seed} epoch {epoch + 1:2d}  test accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
