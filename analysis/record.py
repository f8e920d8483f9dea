"""One search as its MLflow record tells it: what every table and figure is made from."""

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from analysis import runs
from analysis.errors import AnalysisError, Missing

ENOUGH = 20
"""Trials at one epoch that settings can be compared by."""


@dataclass(frozen=True)
class Setting:
    """One searched hyperparameter."""

    key: str
    when: Mapping[str, list]
    """It exists only where each of these keys has one of these values."""
    choices: tuple[Any, ...] | None = None
    """None of a range."""
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    integer: bool = False

    @property
    def column(self) -> str:
        """Its column of the trials."""
        return f"params.{self.key}"

    @property
    def numeric(self) -> bool:
        """Whether its values lie on a scale."""
        return self.choices is None or all(isinstance(c, int | float) and not isinstance(c, bool) for c in self.choices)


@dataclass(frozen=True)
class Confirmed:
    """One configuration, retrained on fresh seeds."""

    number: int
    """Of the search's trial that it confirms."""
    runs: pd.DataFrame
    """Its completed runs, by seed."""

    def values(self, metric: str) -> pd.Series:
        """The last value of each run that has one, by seed."""
        return self.runs.set_index("seed")[f"metrics.{metric}"].dropna()


@dataclass(frozen=True, eq=False)
class Record:
    """One search. What is worked out of one is kept by its identity: frames cannot be compared."""

    parent: Run
    experiment: str
    description: Mapping[str, Any]
    """What `search.tracking.description` wrote."""
    spec: str
    """The YAML file's text, overrides applied."""
    trials: pd.DataFrame
    """The search's own trials, as `runs.Frames.trials`, in the order in which they began."""
    confirmations: pd.DataFrame
    """The confirmation's runs, likewise."""
    curves: pd.DataFrame
    """Of both, as `runs.Frames.curves`."""
    tracking_uri: str
    artifact: Callable[[str, str], Path]
    """Fetches an artifact of a run (run id, path); raises Missing."""
    notes: tuple[str, ...] = field(default=())
    """What of the experiment was left out."""
    data_dir: Path | None = None
    """Where data sets are, where that is not as recorded."""

    @property
    def id(self) -> str:
        """The search's."""
        return self.parent.data.tags["search.id"]

    @property
    def metric(self) -> str:
        """The objective."""
        return self.description["objective"]["metric"]

    @property
    def maximize(self) -> bool:
        """Whether a larger objective is better."""
        return self.description["objective"]["maximize"]

    @property
    def rungs(self) -> list[int]:
        """The epochs after which ASHA compared trials; empty without it."""
        return self.description["rungs"]

    @property
    def title(self) -> str:
        """The name of the data set, loud about a substitute."""
        return self.description["data"]["title"]

    @cached_property
    def settings(self) -> list[Setting]:
        """What was searched, repeats over seeds left out."""
        found = [_setting(entry) for entry in self.description["space"] if entry["key"] != "seed"]
        return [s for s in found if s.column in self.trials]

    @property
    def last(self) -> str:
        """The column of the objective's last value."""
        return f"metrics.{self.metric}"

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The trials with a result (completed or stopped, last value a number), best first."""
        if self.last not in self.trials:
            return self.trials.iloc[:0]
        done = self.trials[self.trials["outcome"].isin(["completed", "stopped"]) & self.trials[self.last].notna()]
        return done.sort_values([self.last, "epochs", "number"], ascending=[not self.maximize, False, True])

    @cached_property
    def confirmed(self) -> list[Confirmed]:
        """The confirmed configurations, the winner first: by the mean of the objective."""
        if self.confirmations.empty or self.last not in self.confirmations:
            return []
        done = self.confirmations[self.confirmations["outcome"] == "completed"]
        numbers = done["number"].unique().tolist()
        found = [Confirmed(number, done[done["number"] == number].sort_values("seed")) for number in numbers]
        return sorted(found, key=lambda c: c.values(self.metric).mean(), reverse=self.maximize)

    @property
    def winner(self) -> pd.DataFrame:
        """The runs of what won: of the confirmed configuration, else the best trial. At least one row.

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
        if self.metric not in there:
            return self.trials.iloc[:0].assign(value=[])
        found = self.trials.join(there[self.metric].rename("value"), on="run_id", how="inner")
        bad = found["value"].isna() | (found["outcome"] == "diverged") & (found["epochs"] == epoch)
        worst = found.loc[~bad, "value"].min() if self.maximize else found.loc[~bad, "value"].max()
        return found.assign(value=found["value"].mask(bad, worst)).dropna(subset="value")

    @cached_property
    def comparable_epoch(self) -> int:
        """The epoch at which settings are compared: the latest that enough trials reached, else that of the most.

        Raises:
            Missing: no trial has an epoch.
        """
        ids = set(self.trials["run_id"]) if len(self.trials) else set()
        counts = self.curves[self.curves["run_id"].isin(ids)].groupby("epoch").size()
        candidates = [epoch for epoch in sorted({*self.rungs, *counts.index[-1:]}) if epoch in counts.index]
        if not candidates:
            raise Missing("No trial has finished an epoch yet.")
        enough = [epoch for epoch in candidates if counts[epoch] >= ENOUGH]
        return int(enough[-1] if enough else max(candidates, key=lambda epoch: (counts[epoch], epoch)))


def load(name: str, *, tracking_uri: str | None = None, data_dir: Path | None = None) -> Record:
    """The record of a search: of that id, or the latest of that experiment that has a trial.

    Args:
        tracking_uri: MLflow's; None is MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here.
        data_dir: where data sets are; None is as recorded.

    Raises:
        AnalysisError: there is none, or the server is down; the message says which.
    """
    client = runs.connect(tracking_uri)
    uri = runs.resolve_uri(tracking_uri)
    try:
        experiment, search = runs.find(client, name)
        frames = runs.read(client, experiment, search)
        return replace(_record(client, uri, frames, name), data_dir=data_dir)
    except MlflowException as error:
        raise AnalysisError(f"MLflow at {uri} does not answer: {runs.first_line(error)}") from error


def _record(client: MlflowClient, uri: str, frames: runs.Frames, name: str) -> Record:
    with_trials = set(frames.trials["search"]) if len(frames.trials) else set()
    parents = [run for run in frames.parents if run.data.tags["search.id"] in with_trials]
    if not parents:
        other = f"; {frames.ignored} runs of other programs or earlier versions are left out" if frames.ignored else ""
        raise AnalysisError(f"{name}: no search in it has begun a trial{other}")
    parent = parents[0]
    id = parent.data.tags["search.id"]
    artifact = _fetcher(client)
    try:
        description = json.loads(artifact(parent.info.run_id, "search.json").read_text())
        spec = artifact(parent.info.run_id, "spec.yaml").read_text()
    except Missing as error:
        raise AnalysisError(
            f"search {id}: {error} Without it nothing is known of the space and the objective."
        ) from error
    trials = frames.trials[frames.trials["search"] == id].sort_values(["started", "number"], ignore_index=True)
    notes = []
    if len(parents) > 1:
        others = ", ".join(run.data.tags["search.id"] for run in parents[1:])
        notes.append(f"The experiment holds {len(parents)} searches: this is the latest. The others: {others}.")
    outside, trials = trials[trials["outside"]], trials[~trials["outside"]]
    if len(outside):
        left = ", ".join(map(str, sorted(outside["number"].unique())))
        notes.append(
            f"The search space was changed when the search was resumed. These trials do not fit it any more and are "
            f"left out of everything below: {left}. The others taught the sampler from then on too."
        )
    if frames.ignored:
        notes.append(f"{frames.ignored} runs of other programs in the same experiment were left out.")
    return Record(
        parent=parent,
        experiment=frames.experiment,
        description=description,
        spec=spec,
        trials=trials[trials["phase"] == "search"].reset_index(drop=True),
        confirmations=trials[trials["phase"] == "confirm"].reset_index(drop=True),
        curves=frames.curves[frames.curves["run_id"].isin(trials["run_id"])].reset_index(drop=True),
        tracking_uri=uri,
        artifact=artifact,
        notes=tuple(notes),
    )


def _fetcher(client: MlflowClient) -> Callable[[str, str], Path]:
    folder = tempfile.TemporaryDirectory(prefix="analysis-")  # gone with the record

    def fetch(run_id: str, path: str) -> Path:
        place = Path(folder.name) / run_id
        place.mkdir(exist_ok=True)
        try:
            return Path(client.download_artifacts(run_id, path, str(place)))
        except (MlflowException, OSError) as error:
            raise Missing(f"{path} of run {run_id} cannot be had from MLflow: {runs.first_line(error)}.") from error

    return fetch


def _setting(entry: Mapping[str, Any]) -> Setting:
    choices = tuple(entry["choices"]) if "choices" in entry else None
    return Setting(**{**entry, "choices": choices})
