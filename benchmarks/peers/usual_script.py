"""The training script that people write: LeNet, torchvision's transforms on PIL images, a DataLoader, two epochs.

All peers run this one, and the other benchmarks take their controls from it. What the search varies is `config`; where
the images are, and where to note down when each epoch began and ended, comes from the environment (see
`benchmarks.overhead`).
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

EPOCHS = 2
CIFAR10 = v2.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))


class LeNet(nn.Module):
    """LeNet-5."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of images [B, 3, 32, 32]."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Images(Dataset):
    """As torchvision's CIFAR10: all images in memory, a PIL image made of each when it is asked for."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, *augmentation: nn.Module, normalize: nn.Module = CIFAR10
    ):
        self.images, self.labels = images, labels
        self.transform = v2.Compose([*augmentation, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normalize])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, batches: DataLoader) -> float:
    """Train on each batch once; the mean loss, read at each step as people do."""
    model.train()
    running = 0.0
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / len(batches)


@torch.no_grad()
def accuracy_of(model: nn.Module, batches: DataLoader) -> float:
    """The share that it gets right."""
    model.eval()
    right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in batches)
    return right / len(batches.dataset)  # type: ignore[arg-type]


def train(config: dict[str, Any], report: Callable[[int, float], None]) -> float:
    """Train, calling `report(epoch, validation accuracy)` after each epoch; the last accuracy."""
    torch.set_num_threads(1)  # two trials share two cores
    torch.manual_seed(0)
    with np.load(os.environ["PEER_IMAGES"]) as arrays:
        training = DataLoader(
            Images(arrays["train_images"], arrays["train_labels"]), config["batch_size"], shuffle=True
        )
        validation = DataLoader(Images(arrays["validation_images"], arrays["validation_labels"]), 1000)
    model = LeNet()
    if config["optimizer"] == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9)
    accuracy = 0.0
    for epoch in range(1, EPOCHS + 1):
        began = time.time()
        train_epoch(model, optimizer, training)
        accuracy = accuracy_of(model, validation)
        with Path(os.environ["PEER_TIMES"]).open("a") as file:
            file.write(json.dumps({"began": began, "ended": time.time(), "accuracy": accuracy}) + "\n")
        report(epoch, accuracy)
    return accuracy
