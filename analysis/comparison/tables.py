"""The tables of a comparison, and what a reader must know before he reads them."""

import math
from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from analysis.comparison.contenders import Contender, grouped
from analysis.errors import Missing
from analysis.statistics import difference, signed, span
from contract.formatting import amount
from contract.metrics import EPOCH_SECONDS, IMAGES_PER_SECOND, PEAK_MEMORY_MB, TEST_ACCURACY, label
from contract.record import DEVICE

MAX_FOR_ALL_PAIRS = 4
"""Contenders up to which each is compared with every other; where there are more, each is compared with the first."""


def warnings(contenders: Sequence[Contender]) -> list[str]:
    """Say what keeps the contenders from being compared, a sentence each, the worst first."""
    found = []
    if len({c.data for c in contenders}) > 1:
        sets = grouped(contenders, lambda c: f"{c.record.title}, fingerprint {c.data[1][:12]}")
        found.append(f"NOT THE SAME DATA ({sets}): results on different data sets cannot be compared.")
    if len({c.protocol for c in contenders}) > 1:
        splits = grouped(contenders, lambda c: f"{c.protocol[0]}, split seed {c.protocol[1]}")
        found.append(f"NOT VALIDATED ON THE SAME IMAGES ({splits}): validation results cannot be compared.")
    if on_test := [c.name for c in contenders if c.protocol[0] == "test"]:
        found.append(f"SELECTED ON THE TEST SET: {', '.join(on_test)}. Those results are too good.")
    if chosen := [c.name for c in contenders if c.chosen]:
        found.append(
            f"Not confirmed: {', '.join(chosen)}. The best of many single runs is partly luck: trained again, it "
            "would most likely be worse."
        )
    tried = {c.name: len(c.record.trials) for c in contenders if c.whole}
    if len(set(tried.values())) > 1:
        numbers = ", ".join(f"{name} {n}" for name, n in tried.items())
        found.append(f"Different numbers of trials ({numbers}): searching more settings finds better ones.")
    if len({c.record.parent.data.tags.get(DEVICE) for c in contenders}) > 1:
        devices = grouped(contenders, lambda c: c.record.parent.data.tags.get(DEVICE, "an unknown device"))
        found.append(f"Not on the same device ({devices}): seconds, images a second and memory cannot be compared.")
    return found


def overview(contenders: Sequence[Contender], metric: str) -> pd.DataFrame:
    """A row a contender: name, data, model, what its runs are, means and standard deviations over them, settings.

    Seconds are of a whole training with its validation, images a second the median over epochs, memory the most
    of all runs.
    """
    differing = settings(contenders).set_index("setting")
    rows = []
    for c in contenders:
        row: dict[str, object] = {
            "contender": c.name,
            "runs": c.how,
            "data": c.record.title,
            "model": c.runs["params.model"].iloc[0],
            "n": len(c.runs),
        }
        for measure in dict.fromkeys((metric, TEST_ACCURACY)):
            values = c.values(measure)
            row |= {f"{measure}_mean": values.mean(), f"{measure}_sd": values.std()}
        rows.append(row | cost(c) | differing[c.name].to_dict())
    return pd.DataFrame(rows)


def cost(contender: Contender) -> dict[str, float]:
    """What a training took: epochs, train_seconds, images_per_second, peak_memory_mb."""
    curves = contender.curves()
    names = [m for m in (EPOCH_SECONDS, IMAGES_PER_SECOND, PEAK_MEMORY_MB) if m in curves]
    of_runs = curves.groupby("run_id")[names]
    return {
        "epochs": contender.runs["epochs"].mean(),
        "train_seconds": of_runs.sum(min_count=1).get(EPOCH_SECONDS, _NONE).mean(),
        IMAGES_PER_SECOND: of_runs.median().get(IMAGES_PER_SECOND, _NONE).mean(),
        PEAK_MEMORY_MB: of_runs.max().get(PEAK_MEMORY_MB, _NONE).max(),
    }


def settings(contenders: Sequence[Contender]) -> pd.DataFrame:
    """A row a setting that is not the same of all: setting, and a column a contender."""
    first = {c.name: c.runs.iloc[0] for c in contenders}
    keys = dict.fromkeys(str(k) for c in contenders for k in c.runs.columns if str(k).startswith("params."))
    rows = []
    for key in keys:
        values = {name: _plain(row.get(key)) for name, row in first.items()}
        if key not in ("params.seed", "params.model") and len(set(values.values())) > 1:
            rows.append({"setting": key.removeprefix("params."), **values})
    return pd.DataFrame(rows, columns=["setting", *first])


def shown(overview: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The overview as it is shown."""
    table = overview[["contender", "runs", "data", "model"]].copy()
    for measure in dict.fromkeys((metric, TEST_ACCURACY)):
        pairs = zip(overview[f"{measure}_mean"], overview[f"{measure}_sd"], strict=True)
        table[label(measure)] = [amount(measure, *pair) if pair[0] == pair[0] else "none" for pair in pairs]
    table["n"] = overview["n"]
    for name, title in (
        ("epochs", "epochs"),
        ("train_seconds", "seconds"),
        (IMAGES_PER_SECOND, "images/s"),
        (PEAK_MEMORY_MB, "memory (MB)"),
    ):
        table[title] = [_short(value) for value in overview[name]]
    return table


def differences(contenders: Sequence[Contender], metric: str, maximize: bool) -> pd.DataFrame:
    """A row a measure and pair of contenders that both have it.

    The one that was named later is compared with the earlier; where there are many, each is compared with the first.

    Returns:
        a, against, measure, difference (the mean of a minus that of the other), t_low, t_high, bootstrap_low,
        bootstrap_high, n (in words), verdict.

    Raises:
        Missing: there is no such pair.
    """
    few = len(contenders) <= MAX_FOR_ALL_PAIRS
    pairs = list(combinations(contenders, 2)) if few else [(contenders[0], c) for c in contenders[1:]]
    rows = []
    for measure in dict.fromkeys((metric, TEST_ACCURACY)):
        for against, a in pairs:
            try:
                found = difference(a.values(measure), against.values(measure))
            except Missing:
                continue
            verdict = _apart(a, against, measure) or found.verdict(maximize if measure == metric else True)
            t, bootstrap = found.t or _NO_INTERVAL, found.bootstrap or _NO_INTERVAL
            rows.append(
                {
                    "a": a.name,
                    "against": against.name,
                    "measure": measure,
                    "difference": found.mean,
                    "t_low": t[0],
                    "t_high": t[1],
                    "bootstrap_low": bootstrap[0],
                    "bootstrap_high": bootstrap[1],
                    "n": found.n,
                    "verdict": verdict,
                }
            )
    if not rows:
        raise Missing("No two contenders have a result of the same measure.")
    return pd.DataFrame(rows)


def shown_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """The differences as they are shown."""
    table = frame[["a", "against"]].rename(columns={"a": "contender"}).assign(measure=frame["measure"].map(label))
    table["difference"] = [signed(*pair) for pair in zip(frame["measure"], frame["difference"], strict=True)]
    table["verdict"] = frame["verdict"]
    for name in ("t", "bootstrap"):
        intervals = zip(frame["measure"], frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
        table[f"95 % {name} interval"] = ["none" if low != low else span(m, (low, high)) for m, low, high in intervals]
    return table.assign(runs=frame["n"])


_NONE = pd.Series(dtype=float)
_NO_INTERVAL = (math.nan, math.nan)


def _apart(a: Contender, b: Contender, measure: str) -> str:
    """Why two contenders' results cannot be compared by a measure; empty where they can."""
    if a.data != b.data:
        return "not comparable, other images"
    on_validation = measure != TEST_ACCURACY
    return "not comparable, validated on other images" if on_validation and a.protocol != b.protocol else ""


def _plain(value: object) -> object:
    """A setting as it is shown: a short number, also where MLflow's text was not read as one."""
    if value is None or value != value:
        return "not set"
    try:
        number = float(str(value))
    except ValueError:
        return value
    return int(number) if number.is_integer() else float(f"{number:.4g}")


def _short(value: float) -> float:
    return round(value) if abs(value) >= 1000 else float(f"{value:.3g}")
