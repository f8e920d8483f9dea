"""One search as its MLflow record tells it: what every table and figure is made from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis import artifacts, left_out, runs
from analysis.errors import AnalysisError, Missing
from analysis.setting import Setting
from contract import ranking
from contract.events import CONFIRM, SEARCH
from contract.formatting import first_line
from contract.locations import resolve_uri
from contract.metrics import EPOCH_SECONDS, IMAGES_PER_SECOND, LR, PEAK_MEMORY_MB
from contract.outcomes import Outcome
from contract.record import DESCRIPTION_FILE, SEARCH_ID, SPEC_FILE

MIN_TRIALS = 20
"""Trials at one epoch that it takes to compare settings."""
COURSE = (LR, EPOCH_SECONDS, IMAGES_PER_SECOND, PEAK_MEMORY_MB)
"""Metrics that say how a training went, not how good its model is; figures of their own show them."""


@dataclass(frozen=True)
class ConfirmedRuns:
    """One configuration, retrained on fresh seeds."""

    number: int
    """The number of the search's trial that is confirmed."""
    runs: pd.DataFrame
    """Its completed runs, by seed."""

    def values(self, metric: str) -> pd.Series:
        """The last value of each run that has one, by seed."""
        return runs.last_values(self.runs, metric)


@dataclass(frozen=True, eq=False)
class Record:
    """One search. What is worked out of one is kept by its identity: frames cannot be compared."""

    parent: Run
    """The search's own run in MLflow, under which its trials are."""
    experiment: str
    """The name of MLflow's experiment."""
    description: Mapping[str, Any]
    """What the search says of itself: objective, space, rungs, data set."""
    spec: str
    """The YAML file's text, overrides applied."""
    trials: pd.DataFrame
    """The search's own trials, as `runs.Frames.trials`, in the order in which they began."""
    confirmations: pd.DataFrame
    """The confirmation's runs, in the same columns."""
    curves: pd.DataFrame
    """The epochs of both, as `runs.Frames.curves`."""
    tracking_uri: str
    """The address of MLflow."""
    artifact: Callable[[str, str], Path]
    """Fetches an artifact of a run (run id, path); raises Missing."""
    notes: tuple[str, ...] = field(default=())
    """What of the experiment was left out, a sentence each."""
    data_dir: Path | None = None
    """The folder of data sets; None for the recorded one."""

    @property
    def id(self) -> str:
        """The search's id."""
        return str(self.parent.data.tags[SEARCH_ID])

    @property
    def metric(self) -> str:
        """The name of the objective."""
        return str(self.description["objective"]["metric"])

    @property
    def maximize(self) -> bool:
        """Whether a larger objective is better."""
        return bool(self.description["objective"]["maximize"])

    @property
    def rungs(self) -> list[int]:
        """The epochs after which ASHA compared trials; empty without it."""
        return list(self.description["rungs"])

    @property
    def title(self) -> str:
        """The name of the data set, loud about a substitute."""
        return str(self.description["data"]["title"])

    @cached_property
    def settings(self) -> list[Setting]:
        """What was searched; the seed, over which trials are repeated, is left out."""
        found = [Setting.from_description(entry) for entry in self.description["space"] if entry["key"] != "seed"]
        return [s for s in found if s.column in self.trials]

    @property
    def last(self) -> str:
        """The column of the trials that holds the objective's last value."""
        return f"metrics.{self.metric}"

    @property
    def curve(self) -> str:
        """The column of the curves that holds the objective."""
        return runs.curve_column(self.metric)

    @property
    def metrics(self) -> list[str]:
        """Every metric that the trials reported, the objective first, the others by name."""
        columns = self.trials.dropna(axis="columns", how="all").columns
        found = {str(c).removeprefix("metrics.") for c in columns if str(c).startswith("metrics.")}
        return sorted(found, key=lambda metric: (metric != self.metric, metric))

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The trials with a result (completed or stopped, last value a number), the best first."""
        if self.last not in self.trials:
            return self.trials.iloc[:0]
        columns = ("outcome", self.last, "epochs", "number")
        outcomes, values, epochs, numbers = (self.trials[column].tolist() for column in columns)
        order = ranking.ranked(
            (i for i in range(len(values)) if ranking.has_result(outcomes[i], values[i])),
            value=lambda i: values[i],
            epochs=lambda i: epochs[i],
            number=lambda i: numbers[i],
            maximize=self.maximize,
        )
        return self.trials.iloc[order]

    @cached_property
    def confirmed(self) -> list[ConfirmedRuns]:
        """The confirmed configurations, the winner first: by the mean of the objective."""
        if self.confirmations.empty or self.last not in self.confirmations:
            return []
        done = self.confirmations[
            (self.confirmations["outcome"] == Outcome.COMPLETED) & self.confirmations[self.last].notna()
        ].sort_values("seed")
        runs_of = {number: done[done["number"] == number] for number in done["number"].unique().tolist()}
        found = {number: ConfirmedRuns(number, own) for number, own in runs_of.items()}
        values = {number: c.values(self.metric).tolist() for number, c in found.items()}
        return [found[number] for number in ranking.winners(values, maximize=self.maximize)]

    @property
    def winner(self) -> pd.DataFrame:
        """The runs of what won: of the confirmed configuration, else the best trial. There is at least one row.

        Raises:
            Missing: no trial has a result.
        """
        if self.confirmed:
            return self.confirmed[0].runs
        if self.ranked.empty:
            raise Missing("No trial has finished yet.")
        return self.ranked.iloc[:1]

    def at(self, epoch: int) -> pd.DataFrame:
        """The trials that reached an epoch, with the objective's `value` there. Diverged ones count as the worst."""
        there = self.curves[self.curves["epoch"] == epoch].set_index("run_id")
        if self.curve not in there:
            return self.trials.iloc[:0].assign(value=[])
        found = self.trials.join(there[self.curve].rename("value"), on="run_id", how="inner")
        bad = found["value"].isna() | (found["outcome"] == Outcome.DIVERGED) & (found["epochs"] == epoch)
        worst = found.loc[~bad, "value"].min() if self.maximize else found.loc[~bad, "value"].max()
        return found.assign(value=found["value"].mask(bad, worst)).dropna(subset="value")

    @cached_property
    def comparable_epoch(self) -> int:
        """The epoch at which settings are compared: the latest that enough trials reached, else the most reached one.

        Raises:
            Missing: no trial has an epoch.
        """
        ids = set(self.trials["run_id"]) if len(self.trials) else set()
        counts = self.curves[self.curves["run_id"].isin(ids)].groupby("epoch").size()
        candidates = [epoch for epoch in sorted({*self.rungs, *counts.index[-1:]}) if epoch in counts.index]
        if not candidates:
            raise Missing("No trial has finished an epoch yet.")
        enough = [epoch for epoch in candidates if counts[epoch] >= MIN_TRIALS]
        return int(enough[-1] if enough else max(candidates, key=lambda epoch: (counts[epoch], epoch)))


def load(name: str, *, tracking_uri: str | None = None, data_dir: Path | None = None) -> Record:
    """Read the record of a search.

    Args:
        name: a search's id, or an experiment, which stands for its latest search that has a trial.
        tracking_uri: MLflow's address; None stands for the one that a search writes to when none is named.
        data_dir: the folder of data sets; None for the recorded one.

    Raises:
        AnalysisError: there is none, or the server is down; the message says which.
    """
    client = runs.connect(tracking_uri)
    uri = resolve_uri(tracking_uri)
    try:
        experiment, search = runs.find(client, name)
        frames = runs.read(client, experiment, search)
        return replace(_record(client, uri, frames, name), data_dir=data_dir)
    except MlflowException as error:
        raise AnalysisError(f"MLflow at {uri} does not answer: {first_line(error)}") from error


def _record(client: MlflowClient, uri: str, frames: runs.Frames, name: str) -> Record:
    with_trials = set(frames.trials["search"]) if len(frames.trials) else set()
    parents = [run for run in frames.parents if run.data.tags[SEARCH_ID] in with_trials]
    if not parents:
        other = f"; {left_out.foreign(frames.ignored)} left out" if frames.ignored else ""
        raise AnalysisError(f"{name}: no search in it has begun a trial{other}")
    parent = parents[0]
    id = parent.data.tags[SEARCH_ID]
    artifact = artifacts.fetcher(client)
    try:
        description = json.loads(artifact(parent.info.run_id, DESCRIPTION_FILE).read_text())
        spec = artifact(parent.info.run_id, SPEC_FILE).read_text()
    except Missing as error:
        raise AnalysisError(
            f"search {id}: {error} Without it nothing is known of the space and the objective."
        ) from error
    trials = frames.trials[frames.trials["search"] == id].sort_values(["started", "number"], ignore_index=True)
    outside, trials = trials[trials["outside"]], trials[~trials["outside"]]
    return Record(
        parent=parent,
        experiment=frames.experiment,
        description=description,
        spec=spec,
        trials=trials[trials["phase"] == SEARCH].reset_index(drop=True),
        confirmations=trials[trials["phase"] == CONFIRM].reset_index(drop=True),
        curves=frames.curves[frames.curves["run_id"].isin(trials["run_id"])].reset_index(drop=True),
        tracking_uri=uri,
        artifact=artifact,
        notes=left_out.notes([run.data.tags[SEARCH_ID] for run in parents], outside, frames.ignored),
    )
