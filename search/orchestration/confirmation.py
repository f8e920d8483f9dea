"""Confirmation: the best configurations retrained on fresh seeds and scored on the test set, once.

The search sees only the validation set; here each of its best configurations is trained to the last
epoch with seeds that the search did not use. The winner is the one with the best mean on the
validation set: chosen by the test set, its score there would be too good.
"""

import statistics
from dataclasses import dataclass
from typing import Any

from contract import ranking
from contract.events import CONFIRM, SEARCH
from contract.outcomes import Outcome
from search.journal.journal import Journal
from search.journal.records import TrialRecord, best_first
from search.orchestration.proposal import Proposal
from search.spec.spec import Spec

FIRST_SEED = 1000
"""Confirmation seeds begin here: far from those that people search over."""


@dataclass(frozen=True)
class Confirmation:
    """One configuration, retrained on fresh seeds."""

    number: int
    """The number of the search's trial."""
    params: dict[str, Any]
    runs: list[TrialRecord]
    """Completed ones, a run a seed."""

    def values(self, metric: str) -> list[float]:
        """One value a run, after its last epoch."""
        return [run.last[metric] for run in self.runs]

    def mean(self, metric: str) -> float:
        """Mean over the runs."""
        return statistics.fmean(self.values(metric))

    def spread(self, metric: str) -> float | None:
        """Sample standard deviation over the runs; None of a single one."""
        return statistics.stdev(self.values(metric)) if len(self.runs) > 1 else None


def best(spec: Spec, journal: Journal) -> list[TrialRecord]:
    """The search's trials with a result, best first."""
    return best_first(journal.trials(SEARCH), spec.objective.metric, spec.objective.maximize)


def proposals(spec: Spec, journal: Journal) -> list[Proposal]:
    """The runs that confirm a finished search: its best configurations, each on each fresh seed."""
    if spec.confirm is None:
        return []
    return [
        Proposal(f"confirm-{r.number:04d}-seed-{seed}", r.number, {**r.params, "seed": seed})
        for r in _distinct(best(spec, journal))[: spec.confirm.top]
        for seed in range(FIRST_SEED, FIRST_SEED + spec.confirm.seeds)
    ]


def confirmed(spec: Spec, journal: Journal) -> list[Confirmation]:
    """What has been confirmed, the winner first: by the mean of the objective."""
    runs: dict[int, list[TrialRecord]] = {}
    for record in journal.trials(CONFIRM):
        if record.outcome is Outcome.COMPLETED and not record.outside:
            runs.setdefault(record.number, []).append(record)
    values = {number: [run.last[spec.objective.metric] for run in rs] for number, rs in runs.items()}
    order = ranking.winners(values, maximize=spec.objective.maximize)
    return [Confirmation(number, runs[number][0].params, runs[number]) for number in order]


def _distinct(records: list[TrialRecord]) -> list[TrialRecord]:
    """The trials without those that differ from a better one by the seed alone."""
    seen: list[dict[str, Any]] = []
    distinct = []
    for record in records:
        params = {key: value for key, value in record.params.items() if key != "seed"}
        if params not in seen:
            seen.append(params)
            distinct.append(record)
    return distinct
