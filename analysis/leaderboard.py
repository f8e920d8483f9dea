"""Who won, how sure that is, and the table of all trials."""

import pandas as pd

from analysis import page
from analysis.errors import Missing
from analysis.record import COURSE, ConfirmedRuns, Record
from analysis.statistics import difference
from contract.formatting import amount
from contract.metrics import TEST_ACCURACY, label

TOP_TRIALS = 10
"""Trials in the table of the best."""
MEAN, SD = "_mean", "_sd"
"""The ends of column names: over the runs of a configuration."""


def items(record: Record) -> tuple[page.Item, ...]:
    """The winner's settings, the confirmation with the difference to the runner-up, and the best trials."""
    best = best_trials(record)
    if best.empty:
        return (page.Absent("What won", "No trial has finished yet: there is no result."),)
    shown: list[page.Item] = [
        page.Prose(verdict(record)),
        page.Table("The winner's settings", "winner", winner(record).astype(str)),
    ]
    if record.confirmed:
        frame = confirmation(record)
        shown.append(
            page.Table("Confirmed", "confirmed", with_spreads(frame), record.description["protocol"], csv=frame)
        )
    else:
        shown.append(page.Absent("Confirmed", "Nothing was confirmed: no configuration was retrained on fresh seeds."))
    title = f"The {len(best)} best trials of the search" if len(best) > 1 else "The best trial of the search"
    note = "One run each, with its last value: which of them comes first is partly luck."
    values = {label(record.metric): [amount(record.metric, value) for value in best[label(record.metric)]]}
    return (*shown, page.Table(title, "best_trials", best.assign(**values), note, csv=best))


def winner(record: Record) -> pd.DataFrame:
    """A row a searched setting of what won, and its model."""
    row = record.winner.iloc[0]
    keys = [s.key for s in record.settings if pd.notna(row[s.column])]
    keys += [key for key in ("model", "epochs") if key not in keys]
    return pd.DataFrame({"setting": keys, "value": [_plain(row[f"params.{key}"]) for key in keys]})


def confirmation(record: Record) -> pd.DataFrame:
    """A row a confirmed configuration, the winner first: trial, n, mean and sd of each metric, and its settings."""
    rows = []
    for confirmed in record.confirmed:
        row: dict[str, object] = {"trial": confirmed.number, "n": len(confirmed.runs)}
        for metric in dict.fromkeys((record.metric, TEST_ACCURACY)):
            if f"metrics.{metric}" in confirmed.runs:
                values = confirmed.values(metric)
                row |= {f"{metric}{MEAN}": values.mean(), f"{metric}{SD}": values.std()}
        rows.append(row | {s.key: _plain(confirmed.runs.iloc[0][s.column]) for s in record.settings})
    return pd.DataFrame(rows)


def with_spreads(frame: pd.DataFrame) -> pd.DataFrame:
    """The confirmation as it is shown: `mean ± sd` in one column, accuracies in percent."""
    shown = pd.DataFrame(index=frame.index)
    for column in map(str, frame):
        metric = column.removesuffix(MEAN)
        if column.endswith(MEAN):
            pairs = zip(frame[column], frame[f"{metric}{SD}"], strict=True)
            shown[label(metric)] = [amount(metric, *pair) for pair in pairs]
        elif not column.endswith(SD):
            shown[column] = frame[column]
    return shown


def verdict(record: Record) -> str:
    """What won and how sure it is that it beats the runner-up, in words."""
    if not record.confirmed:
        row = record.winner.iloc[0]
        value = amount(record.metric, row[record.last])
        objective = label(record.metric)
        return f"Trial {row['number']} has the best {objective} of the search: {value}, one run. Nothing was confirmed."
    first = record.confirmed[0]
    said = f"Trial {first.number} won: {_scores(first, record.metric)}"
    if len(record.confirmed) < 2:
        return f"{said}. No other configuration was confirmed: there is no runner-up."
    second = record.confirmed[1]
    found = difference(first.values(record.metric), second.values(record.metric))
    return (
        f"{said}. The difference to the runner-up, trial {second.number}: "
        f"{found.describe(record.metric, record.maximize)}"
    )


def best_trials(record: Record) -> pd.DataFrame:
    """The best trials, with their settings."""
    done = record.ranked.head(TOP_TRIALS)
    found = pd.DataFrame({"trial": done["number"], label(record.metric): done.get(record.last)})
    found = found.assign(epochs=done["epochs"], outcome=done["outcome"])
    return _with_settings(found, done, record)


def all_trials(record: Record) -> page.Table:
    """Every trial and every metric, for the browser's table; the CSV file has every parameter too.

    Raises:
        Missing: there is none.
    """
    trials = record.trials
    if trials.empty:
        raise Missing("No trial has begun.")
    if not record.ranked.empty:
        trials = trials.sort_values(record.last, ascending=not record.maximize, na_position="last", kind="stable")
    found = pd.DataFrame({"trial": trials["number"], "outcome": trials["outcome"], "epochs": trials["epochs"]})
    for metric in record.metrics:
        if metric == record.metric or metric not in COURSE:
            found[_free(metric, found, record)] = trials[f"metrics.{metric}"]
    found = _with_settings(found.assign(seconds=trials["seconds"].round(1)), trials, record)
    repeated = trials["seed"].nunique() > 1
    found = found.assign(**({"seed": trials["seed"]} if repeated else {}), reason=trials["reason"])
    return page.Table(
        "Settings and results",
        "trials",
        found,
        "The CSV file also holds the confirmation's runs and the settings that did not vary.",
        interactive=True,
        csv=pd.concat([record.trials, record.confirmations]),
    )


def _scores(first: ConfirmedRuns, metric: str) -> str:
    """The winner's objective and test accuracy, and how many runs they are of."""
    values = first.values(metric)
    said = f"{label(metric)} {amount(metric, values.mean(), values.std())}"
    test = first.values(TEST_ACCURACY)
    if len(test) and metric != TEST_ACCURACY:
        said += f", {label(TEST_ACCURACY)} {amount(TEST_ACCURACY, test.mean(), test.std())}"
    n = len(values)
    return f"{said} ({f'mean ± standard deviation of {n} runs on fresh seeds' if n > 1 else 'one run on a fresh seed'})"


def _free(metric: str, frame: pd.DataFrame, record: Record) -> str:
    """A metric's name as a heading that no other column has: a trainable may report `seconds` or a setting's name."""
    taken = {*map(str, frame), "seconds", "seed", "reason", *(s.key for s in record.settings)}
    return f"metrics.{metric}" if metric in taken else metric


def _with_settings(found: pd.DataFrame, trials: pd.DataFrame, record: Record) -> pd.DataFrame:
    return found.assign(**{s.key: trials[s.column].map(_plain) for s in record.settings})


def _plain(value: object) -> object:
    """A setting as it is shown: floats of short length, nothing for one that is not set."""
    if isinstance(value, float):
        return None if value != value else float(f"{value:.4g}")
    return value
