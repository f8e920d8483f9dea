"""The page's first answer: what was searched, on what, and how the trials ended."""

import pandas as pd

from analysis import page, theme
from analysis.record import Record, Setting

MEANING = {
    "completed": "trained to its end",
    "stopped": "by ASHA, at a rung",
    "diverged": "nothing more could be learned",
    "failed": "by an error",
    "interrupted": "the search ended before it did",
    "running": "not ended when this page was made",
}
NAMED = 8
"""Trials of one reason that are named."""


def items(record: Record) -> tuple[page.Item, ...]:
    """Facts, the space, the trials' ends, and the spec."""
    return (
        *(page.Prose(note) for note in record.notes),
        page.Table("Setup", "search", facts(record)),
        page.Table("Search space", "space", space(record)),
        page.Table("How the trials ended", "outcomes", outcomes(record)),
        page.Code("The spec, as YAML", record.spec),
    )


def facts(record: Record) -> pd.DataFrame:
    """A row a fact."""
    tags, said = record.parent.data.tags, record.description
    commit = tags.get("mlflow.source.git.commit", "none")[:12]
    changed = " with uncommitted changes" if tags.get("git.dirty") == "true" else ""
    rungs = (
        f"by ASHA, which compared trials after epochs {', '.join(map(str, record.rungs))}" if record.rungs else "none"
    )
    confirm = said["confirm"]
    classes, fingerprint = len(said["data"]["classes"]), tags["data.fingerprint"][:12]
    rows = {
        "data set": f"{record.title}, {classes} classes, images with fingerprint {fingerprint}",
        "objective": f"{theme.label(record.metric)}, {'the larger' if record.maximize else 'the smaller'} the better",
        "validated on": _validation(said["data"]["validation"]),
        "trials": f"{len(record.trials)} of at most {said['trials']}, each of at most {said['max_epochs']} epochs",
        "sampler": said["sampler"],
        "trials stopped early": rungs,
        "confirmation": f"the best {confirm['top']}, each retrained on {confirm['seeds']} fresh seeds"
        if confirm
        else "none",
        "seeds of the trials": _seeds(record.trials["seed"]),
        "wall time": theme.duration(wall_seconds(record))
        + (", confirmation included" if len(record.confirmations) else ""),
        "the trials' time, summed": theme.duration(record.trials["seconds"].sum()),
        "ran on": f"{tags.get('host', 'unknown')}: {said['resources']}",
        "code": f"commit {commit}{changed}",
        "versions": tags.get("versions", "unknown"),
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
            numbers = ", ".join(map(str, group["number"].head(NAMED)))
            more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
            rows.append({"outcome": outcome, "trials": len(group), "why": reason, "which trials": numbers + more})
    return pd.DataFrame(rows, columns=["outcome", "trials", "why", "which trials"])


def wall_seconds(record: Record) -> float:
    """From the first launch's start to the last one's end, less what lay between; so far, of one that still runs."""
    metrics, info = record.parent.data.metrics, record.parent.info
    if "total_seconds" in metrics:
        return metrics["total_seconds"]
    ends = record.trials["started"] + record.trials["seconds"].fillna(0)
    return float(ends.max()) - info.start_time / 1000


def _status(record: Record) -> str:
    return {"FINISHED": "finished", "RUNNING": "still running", "KILLED": "ended before it was done"}.get(
        record.parent.info.status, record.parent.info.status.lower()
    )


def _validation(validation: float | str) -> str:
    return {
        "own": "the data set's own validation images",
        "rest": "the training images that train_fraction leaves",
        "test": "THE TEST SET, as in the publication: settings were chosen on it",
    }.get(str(validation)) or f"{100 * float(validation):g} % of the training images, set aside"


def _seeds(seeds: pd.Series) -> str:
    distinct = sorted(seeds.unique())
    return ", ".join(map(str, distinct)) if len(distinct) <= NAMED else f"{len(distinct)} different ones"


def _range(setting: Setting) -> str:
    if setting.choices is not None:
        return ", ".join(map(str, setting.choices))
    return f"{setting.low:g} to {setting.high:g}" + (" on a log scale" if setting.log else "")


def _condition(setting: Setting) -> str:
    return " and ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in setting.when.items())
