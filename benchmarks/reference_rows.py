"""The rows of the published studies: settings and figures. What each study is stands in docs/reference_results.md."""

from dataclasses import dataclass, field
from typing import Any

from trainables.split import Validation


@dataclass(frozen=True)
class Row:
    """One configuration, trained as its publication did."""

    id: str
    """`R1/lenet`: what `--only` selects by its beginning."""
    what: str
    params: dict[str, Any]
    """Flat hyperparameters, the seed left out."""
    data: str
    published: float | None = None
    """Test accuracy in percent; None where the publication gives no figure for it."""
    validation: Validation = "test"
    validate_on: int | None = None
    """Watch only so many images of the validation set, where it is larger than the training set; it selects nothing."""
    needs_gpu: bool = False
    note: str = ""
    """How it departs from the publication, or what the publication leaves open."""
    data_options: dict[str, Any] = field(default_factory=dict)


def _r1() -> list[Row]:
    step = {"optimizer": "adam", "schedule": "step", "decay_factor": 0.1}
    heavy = {"augment": "flip+crop+rotate+jitter", "normalize": "half"}
    cropped = {"augment": "flip+crop", "normalize": "half"}
    plain, half = {"normalize": "none"}, {"normalize": "half"}
    resnet = {"augment": "flip+rotate", "normalize": "dataset", "resize": 224, "weights": "imagenet"}

    def row(model: str, id: str, what: str, published: float | None, batch: int, epochs: int, interval: int,
            lr: float, **options: Any) -> Row:  # fmt: skip
        params = {"model": model, **step, "batch_size": batch, "epochs": epochs, "decay_interval": interval, "lr": lr}
        return Row(f"R1/{id}", what, params | options, "cifar10", published, needs_gpu=model == "resnet18")

    return [
        row("lenet", "lenet/normalised", "LeNet-5, normalised", 62.66, 128, 20, 5, 1e-3, **half),
        row("lenet", "lenet/plain", "LeNet-5, not normalised", 58.75, 128, 20, 5, 1e-3, **plain),
        row("lenet", "lenet/cropped", "LeNet-5, flip + crop", 60.56, 128, 20, 5, 1e-3, **cropped),
        row("lenet", "lenet/heavy", "LeNet-5, flip + crop + rotation + jitter", 56.78, 128, 20, 5, 1e-3, **heavy),
        row("lenet", "claims/lenet-lr", "LeNet-5, lr 1e-2", None, 128, 20, 5, 1e-2, **half),
        row("lenet", "claims/lenet-batch", "LeNet-5, batch 64", None, 64, 20, 5, 1e-3, **half),
        row("lenet", "claims/lenet-decay-3", "LeNet-5, decay every 3", None, 128, 20, 3, 1e-3, **half),
        row("lenet", "claims/lenet-decay-7", "LeNet-5, decay every 7", None, 128, 20, 7, 1e-3, **half),
        row("lenet", "claims/lenet-decay-10", "LeNet-5, decay every 10", None, 128, 20, 10, 1e-3, **half),
        row("fashionnet", "fashionnet/cropped", "FashionNet, flip + crop", 71.51, 128, 20, 5, 1e-3, **cropped),
        row("fashionnet", "fashionnet/lr", "FashionNet, lr 1e-2, 30 epochs", 71.69, 128, 30, 6, 1e-2, **half),
        row("fashionnet", "fashionnet/none", "FashionNet", 74.25, 128, 20, 5, 1e-3, **half),
        row("resnet18", "resnet18/64-6", "ResNet-18, batch 64, 6 epochs", 94.46, 64, 6, 2, 1e-3, **resnet),
        row("resnet18", "resnet18/128-12", "ResNet-18, batch 128, 12 epochs", 95.23, 128, 12, 3, 1e-3, **resnet),
        row("resnet18", "resnet18/lr", "ResNet-18, batch 128, lr 1e-2", 85.87, 128, 20, 5, 1e-2, **resnet),
        row("resnet18", "resnet18/128-20", "ResNet-18, batch 128", 95.44, 128, 20, 5, 1e-3, **resnet),
        row("resnet18", "resnet18/64-20", "ResNet-18, batch 64", 95.66, 64, 20, 5, 1e-3, **resnet),
    ]


def _r2() -> list[Row]:
    base = {
        "model": "cnn_sp", "optimizer": "sgd", "momentum": 0.9, "lr": 0.01, "decay_factor": 0.1, "batch_size": 256,
        "enlarge": "rotate+gamma", "dropout": 0.1,
    }  # fmt: skip
    every_3 = {"decay_interval": 3, "lr_floor": 1e-4, "epochs": 30}
    short = every_3 | {"epochs": 3, "precision": "bfloat16"}
    every_10 = {"decay_interval": 10, "epochs": 30}
    less, floor = "3 of 30 epochs, bfloat16", "the floor (1e-4) is not given"
    twelve = {"epochs": 12, "precision": "bfloat16", "pooling": "max"}
    return [
        Row("R2/max-3", "max pooling, lr / 10 every 3", base | short | {"pooling": "max"}, "flowers", 81,
            note=f"{less}; {floor}"),
        Row("R2/stochastic-3", "stochastic pooling, lr / 10 every 3", base | short | {"pooling": "stochastic"},
            "flowers", note=f"{less}; {floor}; not built by the publication"),
        Row("R2/average-3", "average pooling, lr / 10 every 3", base | short | {"pooling": "average"}, "flowers",
            note=f"{less}; {floor}; not in the publication"),
        Row("R2/twelve-max-3", "max pooling, lr / 10 every 3, 12 epochs", base | every_3 | twelve, "flowers",
            note=f"12 of 30 epochs, bfloat16; {floor}"),
        Row("R2/twelve-max-10", "max pooling, lr / 10 every 10, 12 epochs", base | every_10 | twelve, "flowers",
            note="12 of 30 epochs, bfloat16"),
        Row("R2/full-max-3", "max pooling, lr / 10 every 3, 30 epochs", base | every_3 | {"pooling": "max"}, "flowers",
            81, needs_gpu=True, note=floor),
        Row("R2/full-stochastic-3", "stochastic pooling, lr / 10 every 3, 30 epochs",
            base | every_3 | {"pooling": "stochastic"}, "flowers", needs_gpu=True, note=floor),
        Row("R2/max-10", "max pooling, lr / 10 every 10", base | every_10 | {"pooling": "max"}, "flowers", 76.5,
            needs_gpu=True, note="published: 76 to 77"),
        Row("R2/stochastic-10", "stochastic pooling, lr / 10 every 10", base | every_10 | {"pooling": "stochastic"},
            "flowers", needs_gpu=True),
    ]  # fmt: skip


def _r3() -> list[Row]:
    base = {
        "model": "mlp", "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "batch_size": 50, "schedule": "constant",
        "epochs": 100,
    }  # fmt: skip
    long = {"epochs": 2000, "width": 10}
    augmented = ("shift", "rotate", "scale", "shift+rotate+scale")
    points: list[tuple[str, str, dict[str, Any], float | None]] = [
        ("hidden/1x10", "one hidden layer of 10", {"width": 10}, 92.8),
        ("hidden/1x100", "one hidden layer of 100", {}, None),
        *((f"hidden/1x{n}", f"one hidden layer of {n}", {"width": n}, None) for n in (50, 200)),
        ("hidden/2x200", "two hidden layers of 200", {"depth": 2, "width": 200}, 95),
        ("hidden/3x200", "three hidden layers of 200", {"depth": 3, "width": 200}, 95),
        *((f"momentum/{m}", f"momentum {m}", {"momentum": m}, None) for m in (0.0, 0.5)),
        ("vectorised/1", "one image a step", {"batch_size": 1, "lr": 0.001, "epochs": 20}, None),
        ("vectorised/250", "250 images a step", {"batch_size": 250, "lr": 0.05}, None),
        ("penalty/500", "10 units, no penalty, 500 epochs", {"width": 10, "epochs": 500}, 92.8),
        ("penalty/0", "10 units, no penalty, 2,000 epochs", long, 90.9),
        *((f"penalty/{d}", f"10 units, weight penalty {d}, 2,000 epochs", long | {"weight_decay": d}, None)
          for d in (1e-4, 1e-3, 1e-2)),
        ("penalty/early", "10 units, early stopping, patience 100, of 2,000 epochs",
         long | {"early_stopping": "val_accuracy", "patience": 100}, None),
        ("loss/squared", "squared error", {"loss": "squared_error"}, None),
        ("bias/none", "no bias", {"bias": False}, None),
        *((f"dropout/{d}", f"dropout {d}", {"dropout": d}, None) for d in (0.2, 0.5)),
        ("refit/squared", "squared error, last layer refitted",
         {"loss": "squared_error", "refit_last_layer": True}, None),
        ("refit/softmax", "softmax log-loss, last layer refitted", {"refit_last_layer": True}, None),
        *((f"augment/{a}", f"augmented by {a.replace('+', ' + ')}", {"augment": a}, None) for a in augmented),
        ("convolution/8", "a convolution of 8 channels first", {"convolution": 8}, None),
        ("init/normal", "initial weights N(0, 1)", {"initialisation": "normal"}, None),
        ("init/he", "initial weights of He", {"initialisation": "he"}, None),
        ("halving/25", "lr 0.05, halved every 25 epochs", {"lr": 0.05, "schedule": "halving", "decay_interval": 25},
         None),
    ]  # fmt: skip
    return [
        Row(f"R3/{id}", what, base | options, "digits_mat", published, validation="own")
        for id, what, options, published in points
    ]


def _r4() -> list[Row]:
    base = {
        "model": "vgg16", "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "constant",
        "augment": "crop+flip", "normalize": "dataset", "batch_size": 32,
    }  # fmt: skip
    open_ = "batch size and epochs are not given: 32 and {}"
    cpu = {"precision": "bfloat16"}
    rows = [
        Row(f"R4/vgg16-{fraction:.0%}", f"VGG-16, {fraction:.0%} of the training set",
            base | {"train_fraction": fraction, "epochs": epochs} | (cpu if fraction <= 0.1 else {}), "cifar10",
            published, validation="rest", validate_on=500 if fraction <= 0.1 else None, needs_gpu=fraction > 0.1,
            note=open_.format(epochs) + ("; bfloat16" if fraction <= 0.1 else ""))
        for fraction, epochs, published in ((0.01, 300, 36), (0.1, 40, 72), (0.5, 60, 88), (0.8, 60, 91.2))
    ]  # fmt: skip
    tuned = {"train_fraction": 0.9, "epochs": 120, "lr": 0.05, "schedule": "step", "decay_interval": 30,
             "decay_factor": 0.2}  # fmt: skip
    return [*rows, Row("R4/vgg16-tuned", "VGG-16, more data, a tuned step schedule", base | tuned, "cifar10", 92.58,
                       validation="rest", needs_gpu=True, note="the schedule is not given")]  # fmt: skip


def _r5() -> list[Row]:
    tutorial = {
        "model": "tutorial_cnn", "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9, "batch_size": 4,
        "schedule": "constant", "normalize": "half",
    }  # fmt: skip
    resnet9 = {
        "model": "resnet9", "optimizer": "sgd", "lr": 5e-3, "momentum": 0.9, "weight_decay": 5e-4 * 64,
        "batch_size": 64, "schedule": "cosine", "epochs": 24, "normalize": "dataset",
    }  # fmt: skip
    return [
        Row("R5/tutorial-2", "tutorial CNN, 2 epochs", tutorial | {"epochs": 2}, "cifar10", 53),
        Row("R5/tutorial-4", "tutorial CNN, 4 epochs", tutorial | {"epochs": 4}, "cifar10", 57),
        Row("R5/resnet9-none", "ResNet-9", resnet9, "cifar10", 82, needs_gpu=True),
        Row("R5/resnet9-cropped", "ResNet-9, crop + flip", resnet9 | {"augment": "crop+flip"}, "cifar10", 88,
            needs_gpu=True),
    ]  # fmt: skip


ROWS = (*_r1(), *_r2(), *_r3(), *_r4(), *_r5())
