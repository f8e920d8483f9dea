"""What is compared: whole searches by what won in them, and single runs."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from mlflow.exceptions import MlflowException

from analysis import record, runs
from analysis.errors import AnalysisError, Missing
from analysis.record import Record

RUN_ID = re.compile(r"[0-9a-f]{32}")
COMMON = "val_accuracy"
"""Compared where searches had different objectives."""


@dataclass(frozen=True)
class Contender:
    """A search, compared by the runs of what won in it; or one run."""

    name: str
    record: Record
    runs: pd.DataFrame
    """Rows of the record's trials or confirmations, at least one."""
    how: str
    """Which runs they are, in words."""
    whole: bool
    """Whether it is a search."""

    @property
    def data(self) -> tuple[str, str]:
        """What identifies the images: the data set's title, and their fingerprint."""
        return self.record.title, self.record.parent.data.tags["data.fingerprint"]

    @property
    def protocol(self) -> tuple[str, int]:
        """What identifies the images that are validated on."""
        return str(self.record.description["data"]["validation"]), self.record.description["data"]["split_seed"]

    @property
    def chosen(self) -> bool:
        """Whether its figure is the best of many trials, and so better than the same settings would be again."""
        return self.whole and not self.record.confirmed and len(self.record.trials) > 1

    def values(self, metric: str) -> pd.Series:
        """The last value of each run that has one, by seed."""
        column = f"metrics.{metric}"
        if column not in self.runs:
            return pd.Series(dtype=float)
        return self.runs.set_index("seed")[column].dropna()

    def curves(self) -> pd.DataFrame:
        """Of its runs, as `Record.curves`."""
        return self.record.curves[self.record.curves["run_id"].isin(self.runs["run_id"])]


def find(names: Sequence[str], tracking_uri: str | None = None) -> tuple[list[Contender], list[str]]:
    """The contenders of those names, and a sentence for each that is left out since it has no result.

    Args:
        names: an experiment (its latest search), a search's id, a run's id, or SEARCH/RUN such as lenet/trial-0003.

    Raises:
        AnalysisError: fewer than two are left, one of them twice, names that there are not (all of them, a line
            each), or a server that is down.
    """
    if len(set(names)) < 2:
        raise AnalysisError("a comparison needs two or more different searches or runs")
    finder = _Finder(tracking_uri)
    found, left_out, wrong = [], [], []
    for name in dict.fromkeys(names):
        try:
            found.append(finder.contender(name))
        except Missing as missing:
            left_out.append(f"{name} is left out: {missing}")
        except AnalysisError as error:
            wrong.append(str(error))
    wrong += [f"{name} is given twice" for name in dict.fromkeys(n for n in names if names.count(n) > 1)]
    wrong += _same(found)
    if wrong:
        raise AnalysisError("\n".join(dict.fromkeys(wrong)))
    if len(found) < 2:
        raise AnalysisError("\n".join([*left_out, "a comparison needs two or more with a result"]))
    return found, left_out


def objective(contenders: Sequence[Contender]) -> tuple[str, bool, str]:
    """The metric that they are compared by, whether larger is better, and a sentence where it is not everyone's own.

    Raises:
        AnalysisError: there is no such metric.
    """
    own = {(c.record.metric, c.record.maximize) for c in contenders}
    if len(own) == 1:
        return *own.pop(), ""
    aims = grouped(contenders, lambda c: f"{c.record.metric} {'raised' if c.record.maximize else 'lowered'}")
    without = [c.name for c in contenders if c.values(COMMON).empty]
    if without:
        raise AnalysisError(f"different objectives ({aims}), and no {COMMON} of {', '.join(without)} to compare by")
    return COMMON, True, f"The searches had different objectives ({aims}): they are compared by {COMMON}."


def grouped(contenders: Sequence[Contender], say: Callable[[Contender], str]) -> str:
    """What is said of the contenders, each saying once, with the names of those of whom it holds."""
    names: dict[str, list[str]] = {}
    for c in contenders:
        names.setdefault(say(c), []).append(c.name)
    return "; ".join(f"{said}: {', '.join(those)}" for said, those in names.items())


class _Finder:
    """Looks names up, each search once."""

    def __init__(self, tracking_uri: str | None):
        self.uri = tracking_uri
        self.client = runs.connect(tracking_uri)
        self.records: dict[str, Record] = {}

    def contender(self, name: str) -> Contender:
        """Of that name.

        Raises:
            AnalysisError: there is none.
            Missing: it has no result.
        """
        if RUN_ID.fullmatch(name):
            tags = self._tags(name)
            if "search.trial_id" in tags:
                return self._run(f"{tags['search.id']}/{tags['search.trial_id']}")
            return self._search(name, tags["search.id"])
        return self._run(name) if "/" in name else self._search(name, name)

    def _search(self, name: str, search: str) -> Contender:
        found = self._record(search)
        winner = found.winner
        number = winner["number"].iloc[0]
        if found.confirmed:
            begun = (found.confirmations["number"] == number).sum()
            fresh = f"{len(winner)} of {begun}" if len(winner) < begun else str(begun)
            how = f"trial {number}, {fresh} fresh seed{'s' if begun > 1 else ''}"
        else:
            how = f"trial {number}, best of {len(found.trials)}, not confirmed"
        return Contender(name, found, winner, how, whole=True)

    def _run(self, name: str) -> Contender:
        search, _, trial = name.rpartition("/")
        found = self._record(search)
        everything = pd.concat([found.trials, found.confirmations])
        row = everything[everything["trial"] == trial]
        if row.empty:
            near = difflib.get_close_matches(trial, everything["trial"], n=3, cutoff=0.4)
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            raise AnalysisError(f"search {search} has no run {trial!r}{hint}")
        outcome, reason = row["outcome"].iloc[0], row["reason"].iloc[0]
        if outcome not in ("completed", "stopped") or found.last not in row or row[found.last].isna().all():
            raise Missing(f"it has no result, it is {outcome}{f' ({runs.first_line(reason)})' if reason else ''}.")
        stopped = f", stopped after epoch {row['epochs'].iloc[0]}" if outcome == "stopped" else ""
        return Contender(name, found, row, f"one run{stopped}", whole=False)

    def _record(self, search: str) -> Record:
        if search not in self.records:
            self.records[search] = record.load(search, tracking_uri=self.uri)
        return self.records[search]

    def _tags(self, run_id: str) -> dict[str, str]:
        try:
            tags = self.client.get_run(run_id).data.tags
        except MlflowException as error:
            raise AnalysisError(f"no run {run_id}: {runs.first_line(error)}") from error
        if "search.id" not in tags:
            raise AnalysisError(f"run {run_id} is of another program: no search of this platform wrote it")
        return tags


def _same(contenders: Sequence[Contender]) -> list[str]:
    """A sentence for each that an earlier one is too, under another name."""
    first: dict[frozenset[str], str] = {}
    twice = []
    for c in contenders:
        ids = frozenset(c.runs["run_id"])
        if first.setdefault(ids, c.name) != c.name:
            twice.append(f"{first[ids]} and {c.name} are the same runs")
    return twice
