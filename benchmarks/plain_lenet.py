"""A control: LeNet-5 at the published settings by a hand-written script, with nothing of the platform's trainer.

    python -m benchmarks.plain_lenet --seed 0 [--augment]

Stock modules, DataLoader, Adam and StepLR, images as torchvision's ToTensor and Normalize would give them. If it lands
where `benchmarks.reference --only R1/lenet` does, what is short of the published figure is not short by our trainer.
"""

import argparse
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from trainables.datasets import cifar10


class LeNet(nn.Module):
    """As the publication describes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Images(Dataset):
    """Arrays as a data set of transformed tensors."""

    def __init__(self, images, labels, transform):
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self.labels, self.transform = torch.from_numpy(labels), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return self.transform(self.images[index]), self.labels[index]


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
    plain = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    augmented = [v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4)] if options.augment else []
    train = Images(data.train_images, data.train_labels, v2.Compose([*augmented, *plain]))
    test = Images(data.test_images, data.test_labels, v2.Compose(plain))
    model = LeNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.1)
    for epoch in range(20):
        model.train()
        for images, labels in DataLoader(train, batch_size=128, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(x).argmax(1) == y).sum().item() for x, y in DataLoader(test, batch_size=1000))
        print(f"seed {options.seed} epoch {epoch + 1:2d}  test accuracy {right / len(test):.4f}", flush=True)


if __name__ == "__main__":
    main()
