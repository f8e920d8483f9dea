"""Records written down by hand: figures whose numbers can be worked out on paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run, RunData, RunInfo, RunTag

from analysis.errors import Missing
from analysis.record import Record
from contract.record import COMMIT, DIRTY, FINGERPRINT, HOST, SEARCH_ID

DEFAULTS = {"model": "lenet", "batch_size": 32, "train_fraction": 1.0, "epochs": 9}
EPOCH_SECONDS, STARTED = 2.0, 1_000_000.0


def trial(values: Sequence[float], outcome: str = "completed", **params: Any) -> dict[str, Any]:
    """A trial: its objective epoch by epoch, how it ended, and its settings."""
    return {"values": values, "outcome": outcome, "params": DEFAULTS | params}


def record(
    trials: Sequence[Mapping[str, Any]],
    space: Sequence[Mapping[str, Any]] = (),
    *,
    confirmations: Sequence[Mapping[str, Any]] = (),
    maximize: bool = True,
    rungs: Sequence[int] = (),
    **description: Any,
) -> Record:
    """A record of these trials: the i-th starts i hours after the first and trains 2 seconds an epoch.

    Args:
        confirmations: like trials, with `number` (of the trial that is confirmed), `seed` and perhaps `test`.
    """
    metric = "val_accuracy" if maximize else "val_loss"
    rows, curves = [], []
    for phase, entries in (("search", trials), ("confirm", confirmations)):
        for i, entry in enumerate(entries):
            row, curve = _trial(entry, phase, i, metric)
            rows.append(row)
            curves += curve
    frame = pd.DataFrame(rows)
    return Record(
        parent=_parent(),
        experiment="by-hand",
        description={
            "name": "by-hand", "objective": {"metric": metric, "maximize": maximize},
            "space": [{"when": {}, **entry} for entry in space], "sampler": "tpe", "rungs": list(rungs),
            "max_epochs": 9, "trials": len(trials), "confirm": None, "protocol": "As on paper.", "resources": "a desk",
            "data": {"title": "digits", "classes": ["0", "1"], "validation": 0.1}, **description,
        },
        spec="name: by-hand\n",
        trials=frame[frame["phase"] == "search"].reset_index(drop=True),
        confirmations=frame[frame["phase"] == "confirm"].reset_index(drop=True),
        curves=pd.DataFrame(curves, columns=["run_id", "trial", "search", "epoch", "time", metric, "epoch_seconds"]),
        tracking_uri="",
        artifact=_nothing,
    )  # fmt: skip


def _parent() -> Run:
    info = RunInfo("parent", "1", "user", "FINISHED", int(STARTED * 1000), int((STARTED + 3600) * 1000), "active")
    tags = {SEARCH_ID: "s1", FINGERPRINT: "f00", HOST: "desk", DIRTY: "true", COMMIT: "c0ffee" * 6}
    return Run(info, RunData(tags=[RunTag(*item) for item in tags.items()]))


def _trial(entry: Mapping[str, Any], phase: str, i: int, metric: str) -> tuple[dict[str, Any], list[tuple]]:
    values, started = entry["values"], STARTED + 3600 * i
    run_id = f"{phase}-{i}"
    row = {
        "run_id": run_id, "trial": run_id, "search": "s1", "number": entry.get("number", i), "phase": phase,
        "seed": entry.get("seed", 0), "outcome": entry["outcome"], "reason": entry.get("reason", ""),
        "started": started, "epochs": len(values), "seconds": EPOCH_SECONDS * len(values),
        **{f"params.{key}": value for key, value in entry["params"].items()},
    }  # fmt: skip
    if len(values):
        row[f"metrics.{metric}"] = values[-1]
    if "test" in entry:
        row["metrics.test_accuracy"] = entry["test"]
    curve = [
        (run_id, run_id, "s1", epoch, started + EPOCH_SECONDS * epoch, value, EPOCH_SECONDS)
        for epoch, value in enumerate(values, 1)
    ]
    return row, curve


def _nothing(run_id: str, path: str) -> Path:
    raise Missing(f"{path} of run {run_id} is not there.")
