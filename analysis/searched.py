"""The page's first answer: what was searched, on what, and how the trials ended."""

from collections.abc import Sequence

import pandas as pd

from analysis import page
from analysis.record import Record
from analysis.setting import Setting
from contract.formatting import duration
from contract.metrics import label
from contract.outcomes import RUNNING, Outcome
from contract.record import COMMIT, DIRTY, FINGERPRINT, HOST, TOTAL_SECONDS, VERSIONS, boolean

MEANING = {
    Outcome.COMPLETED: "trained to its end",
    Outcome.STOPPED: "by ASHA, at a rung",
    Outcome.DIVERGED: "nothing more could be learned",
    Outcome.FAILED: "by an error",
    Outcome.INTERRUPTED: "the search ended before it did",
    RUNNING: "not ended when this page was made",
}
"""What each outcome says where a trial has no reason of its own."""
MAX_NAMED = 8
"""Trials of one reason that are named, and seeds."""
SHORT_HASH = 12
"""Characters of a commit and of a fingerprint."""


def items(record: Record) -> tuple[page.Item, ...]:
    """The facts, the search space, how the trials ended, and the spec."""
    return (
        *(page.Prose(note) for note in record.notes),
        page.Table("Setup", "search", facts(record)),
        page.Table("Search space", "space", space(record)),
        page.Table("How the trials ended", "outcomes", outcomes(record)),
        page.Code("The spec, as YAML", record.spec),
    )


def facts(record: Record) -> pd.DataFrame:
    """A row a fact: what, and value."""
    tags, said = record.parent.data.tags, record.description
    commit = tags.get(COMMIT, "none")[:SHORT_HASH]
    changed = " with uncommitted changes" if tags.get(DIRTY) == boolean(True) else ""
    rungs = f"by ASHA, which compared trials after {epochs(record.rungs)}" if record.rungs else "none"
    confirm = said["confirm"]
    classes, fingerprint = len(said["data"]["classes"]), tags[FINGERPRINT][:SHORT_HASH]
    rows = {
        "data set": f"{record.title}, {classes} classes, images with fingerprint {fingerprint}",
        "objective": f"{label(record.metric)}, {'larger' if record.maximize else 'smaller'} is better",
        "validated on": _validation(said["data"]["validation"]),
        "trials": f"{_count(len(record.trials), said['trials'])}, up to {said['max_epochs']} epochs each",
        "sampler": said["sampler"],
        "trials stopped early": rungs,
        "confirmation": f"the best {confirm['top']}, each retrained on {confirm['seeds']} fresh seeds"
        if confirm
        else "none",
        "seeds of the trials": _seeds(record.trials["seed"]),
        "wall time": duration(wall_seconds(record)) + (", confirmation included" if len(record.confirmations) else ""),
        "sum of the trials' times": duration(record.trials["seconds"].sum()),
        "ran on": f"{tags.get(HOST, 'unknown')}: {said['resources']}",
        "code": f"commit {commit}{changed}",
        "versions": tags.get(VERSIONS, "unknown"),
        "search": f"{record.id} of experiment {record.experiment}, {_status(record)}",
    }
    return pd.DataFrame({"what": rows.keys(), "value": rows.values()})


def space(record: Record) -> pd.DataFrame:
    """A row a searched setting: where it was searched, and where it exists."""
    rows = [{"setting": s.key, "values": _range(s), "only where": _condition(s)} for s in record.settings]
    found = pd.DataFrame(rows, columns=["setting", "values", "only where"])
    return found if found["only where"].any() else found.drop(columns="only where")


def outcomes(record: Record) -> pd.DataFrame:
    """A row an outcome and reason: how many trials, and which."""
    rows = []
    for outcome, meaning in MEANING.items():
        mine = record.trials[record.trials["outcome"] == outcome]
        for reason, group in mine.groupby(mine["reason"].where(mine["reason"] != "", meaning), sort=False):
            numbers = ", ".join(map(str, group["number"].head(MAX_NAMED)))
            more = f" and {len(group) - MAX_NAMED} more" if len(group) > MAX_NAMED else ""
            rows.append({"outcome": outcome, "trials": len(group), "why": reason, "which trials": numbers + more})
    return pd.DataFrame(rows, columns=["outcome", "trials", "why", "which trials"])


def wall_seconds(record: Record) -> float:
    """The time that drivers ran the search, pauses between them left out; the time so far where it still runs."""
    metrics, info = record.parent.data.metrics, record.parent.info
    if TOTAL_SECONDS in metrics:
        return float(metrics[TOTAL_SECONDS])
    ends = record.trials["started"] + record.trials["seconds"].fillna(0)
    return float(ends.max()) - float(info.start_time) / 1000


def epochs(rungs: Sequence[int]) -> str:
    """Name some epochs: `epoch 2`, `epochs 1, 3`."""
    return f"epoch{'s' * (len(rungs) > 1)} {', '.join(map(str, rungs))}"


def _count(trials: int, limit: int) -> str:
    """How many trials there are of those that the budget allows: `30 (the limit)`, `12 of up to 30`."""
    return f"{trials} (the limit)" if trials == limit else f"{trials} of up to {limit}"


def _status(record: Record) -> str:
    status = str(record.parent.info.status)
    said = {"FINISHED": "finished", "RUNNING": "still running", "KILLED": "ended before it was done"}
    return said.get(status, status.lower())


def _validation(validation: float | str) -> str:
    return {
        "own": "the data set's own validation images",
        "rest": "the training images that train_fraction leaves",
        "test": "THE TEST SET, as in the publication: the settings were chosen on it",
    }.get(str(validation)) or f"{100 * float(validation):g} % of the training images, set aside"


def _seeds(seeds: pd.Series) -> str:
    distinct = sorted(seeds.unique())
    return ", ".join(map(str, distinct)) if len(distinct) <= MAX_NAMED else f"{len(distinct)} different ones"


def _range(setting: Setting) -> str:
    if setting.choices is not None:
        return ", ".join(map(str, setting.choices))
    return f"{setting.low:g} to {setting.high:g}" + (" on a log scale" if setting.log else "")


def _condition(setting: Setting) -> str:
    return " and ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in setting.when.items())
