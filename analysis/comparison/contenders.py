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
from analysis.runs import last_values
from contract.formatting import first_line
from contract.metrics import VAL_ACCURACY
from contract.outcomes import Outcome
from contract.ranking import has_result
from contract.record import FINGERPRINT, SEARCH_ID, TRIAL_ID, is_trial

RUN_ID = re.compile(r"[0-9a-f]{32}")
COMMON = VAL_ACCURACY
"""The metric that is compared where searches had different objectives."""


@dataclass(frozen=True)
class Contender:
    """A search, compared by the runs of what won in it; or one run."""

    name: str
    """The name by which it was asked for."""
    record: Record
    """The search that it is, or that it belongs to."""
    runs: pd.DataFrame
    """Rows of the record's trials or confirmations, at least one."""
    how: str
    """Which runs they are, in words."""
    whole: bool
    """Whether it is a search."""

    @property
    def data(self) -> tuple[str, str]:
        """What identifies the images: the data set's title, and their fingerprint."""
        return self.record.title, self.record.parent.data.tags[FINGERPRINT]

    @property
    def protocol(self) -> tuple[str, int]:
        """What identifies the images that are validated on."""
        return str(self.record.description["data"]["validation"]), self.record.description["data"]["split_seed"]

    @property
    def chosen(self) -> bool:
        """Whether its result is the best of many trials, and so better than the same settings would reach again."""
        return self.whole and not self.record.confirmed and len(self.record.trials) > 1

    def values(self, metric: str) -> pd.Series:
        """The last value of each run that has one, by seed."""
        return last_values(self.runs, metric)

    def curves(self) -> pd.DataFrame:
        """The epochs of its runs, as `Record.curves`."""
        return self.record.curves[self.record.curves["run_id"].isin(self.runs["run_id"])]


def find(names: Sequence[str], tracking_uri: str | None = None) -> tuple[list[Contender], list[str]]:
    """Find the contenders of those names, and a sentence for each that is left out because it has no result.

    Args:
        names: an experiment (its latest search), a search's id, a run's id, or SEARCH/RUN such as lenet/trial-0003.
        tracking_uri: MLflow's address; None stands for the one that a search writes to when none is named.

    Raises:
        AnalysisError: fewer than two are left, one is given twice, names are unknown (the message has a line for
            each), or the server is down.
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
        raise AnalysisError("\n".join([*left_out, "a comparison needs two or more searches or runs with a result"]))
    return found, left_out


def objective(contenders: Sequence[Contender]) -> tuple[str, bool, str]:
    """Choose the metric to compare by: its name, whether larger is better, and why it is not each search's own.

    Raises:
        AnalysisError: there is no such metric.
    """
    own = {(c.record.metric, c.record.maximize) for c in contenders}
    if len(own) == 1:
        return *own.pop(), ""
    aims = grouped(contenders, lambda c: f"{c.record.metric} {'raised' if c.record.maximize else 'lowered'}")
    without = [c.name for c in contenders if c.values(COMMON).empty]
    if without:
        raise AnalysisError(
            f"the searches had different objectives ({aims}), and cannot be compared by {COMMON}, which is not in the "
            f"record of {', '.join(without)}"
        )
    return COMMON, True, f"The searches had different objectives ({aims}): they are compared by {COMMON}."


def grouped(contenders: Sequence[Contender], say: Callable[[Contender], str]) -> str:
    """What `say` gives for the contenders, each text once, with the names of the contenders that it is true of."""
    names: dict[str, list[str]] = {}
    for c in contenders:
        names.setdefault(say(c), []).append(c.name)
    return "; ".join(f"{said}: {', '.join(those)}" for said, those in names.items())


class _Finder:
    """Looks names up, each search once."""

    def __init__(self, tracking_uri: str | None):
        """Connect to MLflow."""
        self.uri = tracking_uri
        self.client = runs.connect(tracking_uri)
        self.records: dict[str, Record] = {}

    def contender(self, name: str) -> Contender:
        """Find the contender of a name.

        Raises:
            AnalysisError: there is none.
            Missing: it has no result.
        """
        if RUN_ID.fullmatch(name):
            tags = self._tags(name)
            if is_trial(tags):
                return self._run(f"{tags[SEARCH_ID]}/{tags[TRIAL_ID]}")
            return self._search(name, tags[SEARCH_ID])
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
        value = row[found.last].iloc[0] if found.last in row else None
        if not has_result(outcome, value):
            why = f" ({reason.strip().splitlines()[0]})" if reason.strip() else ""
            raise Missing(f"it has no result, it is {outcome}{why}.")
        stopped = f", stopped after epoch {row['epochs'].iloc[0]}" if outcome == Outcome.STOPPED else ""
        return Contender(name, found, row, f"one run{stopped}", whole=False)

    def _record(self, search: str) -> Record:
        if search not in self.records:
            self.records[search] = record.load(search, tracking_uri=self.uri)
        return self.records[search]

    def _tags(self, run_id: str) -> dict[str, str]:
        try:
            tags: dict[str, str] = self.client.get_run(run_id).data.tags
        except MlflowException as error:
            raise AnalysisError(f"no run {run_id}: {first_line(error)}") from error
        if SEARCH_ID not in tags:
            raise AnalysisError(
                f"run {run_id} is of another program: no search of this platform wrote it; name a run of a search"
            )
        return tags


def _same(contenders: Sequence[Contender]) -> list[str]:
    """Name the contenders that are the same runs as an earlier one, a sentence each."""
    first: dict[frozenset[str], str] = {}
    twice = []
    for c in contenders:
        ids = frozenset(c.runs["run_id"])
        if first.setdefault(ids, c.name) != c.name:
            twice.append(f"{first[ids]} and {c.name} are the same runs")
    return twice
