"""When nothing more can be learned: curves of networks that have diverged, are dead, are slow, or are done."""

import math

import pytest

from search.orchestration.divergence import DEAD_EPOCHS, EXPLODED, divergence, guessing_loss

NAN, INF = math.nan, math.inf


def of(*losses: float, accuracy: float | list[float] = 0.1) -> list[dict]:
    accuracies = accuracy if isinstance(accuracy, list) else [accuracy] * len(losses)
    return [
        {"train_loss": loss, "val_loss": loss, "val_accuracy": a} for loss, a in zip(losses, accuracies, strict=True)
    ]


def judged(history: list[dict], classes: int = 10, loss: str = "cross_entropy", metric: str = "val_accuracy"):
    return divergence(history, classes, loss, metric)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"train_loss": NAN}, "train_loss is not finite at epoch 2"),
        ({"val_loss": INF}, "val_loss is not finite at epoch 2"),
        ({"val_accuracy": -INF}, "val_accuracy is not finite at epoch 2"),
        ({"val_accuracy": None}, "val_accuracy is missing at epoch 2"),
        ({"train_loss": "low"}, "train_loss is missing at epoch 2"),
        ({"train_loss": True}, "train_loss is missing at epoch 2"),
    ],
    ids=str,
)
def test_what_is_no_finite_number(last, reason):
    good = of(1.0)[0]
    assert judged([good, good | last]) == reason


def test_every_metric_that_is_needed_must_be_there():
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert name in judged([{k: v for k, v in of(1.0)[0].items() if k != name}])
    assert "train_accuracy is missing" in judged(of(1.0), metric="train_accuracy")


@pytest.mark.parametrize(("loss", "classes", "guess"), [("cross_entropy", 10, 2.3026), ("squared_error", 10, 0.9)])
def test_an_exploded_loss_is_told_by_that_of_guessing(loss, classes, guess):
    assert guessing_loss(classes, loss) == pytest.approx(guess, abs=1e-4)
    assert judged(of(0.99 * EXPLODED * guess), classes, loss) is None
    assert f"{guess:.3g} would be guessing" in judged(of(1.01 * EXPLODED * guess), classes, loss)


def test_large_first_weights_are_no_explosion():
    assert judged(of(40.0)) is None
    assert judged(of(40.0, 9.0, 2.5)) is None


CHANCE = math.log(10)
ALIVE = {
    "one epoch fewer": of(*[CHANCE] * (DEAD_EPOCHS - 1)),
    "one accuracy differs": of(*[CHANCE] * 5, accuracy=[0.1, 0.1, 0.1, 0.1, 0.1001]),
    "converged, the accuracy the same for ever": of(*[0.01] * 50, accuracy=0.958),
    "converged, two classes, one much rarer": of(*[0.30] * 20, accuracy=0.75),
    "converged, two classes, hardly better than guessing": of(*[0.6] * 20, accuracy=0.7),
    "a slow starter": of(2.32, 2.31, 2.305, 2.30, 2.29),
    "warming up": of(3.1, 2.9, 2.6, 2.4, 2.31),
    "falling by steps, the accuracy still of one class": of(2.3030, 2.3028, 2.3020, 2.29, 2.27),
    "worse than guessing in accuracy, yet learning": of(2.2, 2.1, 2.05, 2.0, 1.9, accuracy=0.0),
}
DEAD = {
    "at chance": of(*[CHANCE] * 5),
    "about chance, as steps too large make it wander": of(2.31, 2.34, 2.31, 2.33, 2.32),
    "after it had learned": of(1.5, 1.4, *[2.303] * 5, accuracy=[0.4, 0.5, *[0.1] * 5]),
    "nobody is right": of(*[4.7] * 5, accuracy=0.0),
    "getting worse": of(2.31, 2.4, 2.5, 2.6, 2.7),
}


@pytest.mark.parametrize("history", ALIVE.values(), ids=list(ALIVE))
def test_what_lives_is_let_live(history):
    assert all(judged(history[:n], 2 if history[0]["val_accuracy"] >= 0.7 else 10) is None for n in range(1, 51))


@pytest.mark.parametrize("history", DEAD.values(), ids=list(DEAD))
def test_a_dead_network_is_told(history):
    assert all(judged(history[:n]) is None for n in range(1, len(history)))
    assert "alike for every image" in judged(history)


def test_a_dead_network_is_told_by_either_loss_and_any_number_of_classes():
    assert judged(of(*[0.9] * 5), 10, "squared_error")
    assert judged(of(*[math.log(102)] * 5, accuracy=0.0147), 102)
    assert judged(of(*[math.log(2)] * 5, accuracy=0.5), 2)
    assert judged(of(*[0.5] * 5, accuracy=0.5), 2) is None, "it has learned to be sure of something"
