"""Who won, how sure that is, and the table of all trials."""

import pandas as pd

from analysis import page, theme
from analysis.errors import Missing
from analysis.record import Record
from analysis.statistics import difference

TOP = 10


def items(record: Record) -> tuple[page.Item, ...]:
    """The winner's settings, the confirmation with the runner-up's distance, and the best trials."""
    best = best_trials(record)
    if best.empty:
        return (page.Absent("What won", "No trial has finished yet: there is no result."),)
    shown: list[page.Item] = [
        page.Prose(verdict(record)),
        page.Table("The winner's settings", "winner", winner(record).astype(str)),
    ]
    if record.confirmed:
        frame = confirmation(record)
        shown.append(page.Table("Confirmed", "confirmed", shares(frame), record.description["protocol"], csv=frame))
    else:
        shown.append(page.Absent("Confirmed", "Nothing was confirmed: no configuration was retrained on fresh seeds."))
    title = f"The {len(best)} best trials of the search" if len(best) > 1 else "The best trial of the search"
    note = "One run each, with its last value: what is first here is partly luck."
    values = {
        name: [theme.amount(record.metric, value) for value in best[name]] for name in [theme.label(record.metric)]
    }
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
        for metric in dict.fromkeys((record.metric, "test_accuracy")):
            if f"metrics.{metric}" in confirmed.runs:
                values = confirmed.values(metric)
                row |= {f"{metric}_mean": values.mean(), f"{metric}_sd": values.std()}
        rows.append(row | {s.key: _plain(confirmed.runs.iloc[0][s.column]) for s in record.settings})
    return pd.DataFrame(rows)


def shares(frame: pd.DataFrame) -> pd.DataFrame:
    """The same for reading: `mean ± sd` in one column, accuracies in percent."""
    shown = pd.DataFrame(index=frame.index)
    for column in frame:
        if str(column).endswith("_mean"):
            metric = str(column).removesuffix("_mean")
            spread = frame[f"{metric}_sd"]
            shown[theme.label(metric)] = [
                theme.amount(metric, *pair) for pair in zip(frame[column], spread, strict=True)
            ]
        elif not str(column).endswith("_sd"):
            shown[str(column)] = frame[column]
    return shown


def verdict(record: Record) -> str:
    """What won and how sure it is that it beats the runner-up, in words."""
    row, metric = record.winner.iloc[0], theme.label(record.metric)
    if not record.confirmed:
        value = theme.amount(record.metric, row[record.last])
        return f"Trial {row['number']} has the best {metric} of the search: {value}, one run. Nothing was confirmed."
    first = record.confirmed[0]
    values = first.values(record.metric)
    amount = theme.amount(record.metric, values.mean(), values.std())
    said = f"Trial {first.number} won: {metric} {amount}"
    if "metrics.test_accuracy" in first.runs:
        test = first.values("test_accuracy")
        said += f", test accuracy {theme.amount('test_accuracy', test.mean(), test.std())}"
    n = len(values)
    said += f" (mean ± standard deviation of {n} runs on fresh seeds)" if n > 1 else " (one run on a fresh seed)"
    if len(record.confirmed) < 2:
        return f"{said}. No other configuration was confirmed: there is no runner-up."
    second = record.confirmed[1]
    found = difference(values, second.values(record.metric))
    return (
        f"{said}. Its {metric} less that of the runner-up, trial {second.number}: "
        f"{found.describe(record.metric, record.maximize)}"
    )


def best_trials(record: Record) -> pd.DataFrame:
    """The best trials, with their settings."""
    done = record.ranked.head(TOP)
    found = pd.DataFrame({"trial": done["number"], theme.label(record.metric): done.get(record.last)})
    found = found.assign(epochs=done["epochs"], outcome=done["outcome"])
    return _with_settings(found, done, record)


def all_trials(record: Record) -> page.Table:
    """Every trial, for the browser's table; the CSV file has every parameter and metric.

    Raises:
        Missing: there is none.
    """
    trials = record.trials
    if trials.empty:
        raise Missing("No trial has begun.")
    found = pd.DataFrame({"trial": trials["number"], "outcome": trials["outcome"], "epochs": trials["epochs"]})
    for metric in dict.fromkeys((record.metric, "val_accuracy", "val_loss", "train_accuracy")):
        if f"metrics.{metric}" in trials:
            found[metric] = trials[f"metrics.{metric}"]
    found = _with_settings(found.assign(seconds=trials["seconds"].round(1)), trials, record)
    repeated = trials["seed"].nunique() > 1
    found = found.assign(**({"seed": trials["seed"]} if repeated else {}), reason=trials["reason"])
    if not record.ranked.empty:
        found = found.sort_values(record.metric, ascending=not record.maximize, na_position="last")
    return page.Table(
        "Settings and results", "trials", found,
        "The CSV file also holds the confirmation's runs and what did not vary.",
        interactive=True, csv=pd.concat([trials, record.confirmations]),
    )  # fmt: skip


def _with_settings(found: pd.DataFrame, trials: pd.DataFrame, record: Record) -> pd.DataFrame:
    return found.assign(**{s.key: trials[s.column].map(_plain) for s in record.settings})


def _plain(value: object) -> object:
    """A setting as it is shown: floats of short length, nothing for one that is not set."""
    if isinstance(value, float):
        return None if value != value else float(f"{value:.4g}")
    return value
