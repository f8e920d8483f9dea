"""Which settings mattered."""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from analysis.errors import Missing
from analysis.record import ENOUGH, Record, Setting
from analysis.scales import positions

RESAMPLES, INTERVAL, CHANCE = 50, (0.05, 0.95), 0.95
"""Resamples, and as many shufflings: they take a second for 500 trials and five settings."""
STUDY = "importance"


class _Drawn(optuna.Study):
    """A study that shows some of its trials, each as often as it was drawn: to copy them all takes thrice as long."""

    drawn: Sequence[FrozenTrial] = ()

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        return list(self.drawn)


def importances(record: Record) -> pd.DataFrame:
    """PED-ANOVA's share of each setting in what makes a trial one of the best tenth, with its uncertainty.

    Conditional settings count where they exist. The trials are those of `positions`, so that all are compared after
    the same epoch. The interval is the percentile bootstrap over trials, widened to the importance itself where that
    lies outside. As importances sum to 1 even where no setting matters, they come with what chance alone yields.

    Source: Watanabe et al., PED-ANOVA, IJCAI 2023 (arXiv 2304.10255), section 4; for conditional settings
    arXiv 2601.20800, algorithm 1.

    Returns:
        A row a setting, the most important first: setting (key), importance (all sum to 1), low and high (5 % and
        95 % of the resamples), chance (95 % of the cases in which the objective's values were shuffled among the
        trials stay under it), n (trials that have it).

    Raises:
        Missing: fewer than 20 trials, fewer than two settings that vary, or one value of the objective throughout.
    """
    found, settings, study, loss, weights = _weighed(record)
    columns = [s.column for s in settings]
    rng = np.random.default_rng(0)
    everyone = np.arange(len(found))
    resampled = [_shares(_weights(study, columns, rng.choice(everyone, len(everyone)), loss)) for _ in range(RESAMPLES)]
    shuffled = [_weights(study, columns, everyone, rng.permutation(loss)) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, INTERVAL, axis=0)
    share = _shares(weights)
    rows = pd.DataFrame(
        {
            "setting": [s.key for s in settings], "importance": share,
            "low": np.minimum(low, share), "high": np.maximum(high, share),
            "chance": np.quantile(shuffled, CHANCE, axis=0) / (weights.sum() or 1),
            "n": [int(found[column].notna().sum()) for column in columns],
        }
    )  # fmt: skip
    return rows.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def most_important(record: Record, n: int) -> list[Setting]:
    """The settings that matter most, the most important first; those that cannot be compared in the spec's order."""
    try:
        _, settings, _, _, weights = _weighed(record)
    except Missing:
        return record.settings[:n]
    weight = {s.key: w for s, w in zip(settings, weights, strict=True)}
    return sorted(record.settings, key=lambda s: -weight.get(s.key, 0.0))[:n]


def varied(record: Record) -> list[Setting]:
    """The settings of which the trials had two values at least, the most important first."""
    return [s for s in most_important(record, len(record.settings)) if s.column in positions(record)]


def target_quantile(trials: int) -> float:
    """The share of the trials that counts as good: a tenth, but five trials at the least, as Optuna advises."""
    return max(0.1, 5 / trials)


def _comparable(record: Record) -> tuple[pd.DataFrame, list[Setting]]:
    found = positions(record)
    settings = [s for s in record.settings if s.column in found]
    epoch = record.comparable_epoch
    if len(found) < ENOUGH:
        raise Missing(
            f"Trials that reached epoch {epoch}: {len(found)}. To tell which settings mattered takes {ENOUGH}."
        )
    if len(settings) < 2:
        what = f"Only {settings[0].key} was varied" if settings else "No setting was varied"
        raise Missing(f"{what}: with fewer than two settings there is nothing to weigh against each other.")
    if found["value"].nunique() == 1:
        raise Missing(f"All {len(found)} trials have the same {record.metric} after epoch {epoch}.")
    return found, settings


@lru_cache(maxsize=1)
def _weighed(record: Record) -> tuple[pd.DataFrame, list[Setting], _Drawn, np.ndarray, np.ndarray]:
    """The trials, what they vary in, the same as a study, what is to be small, and each setting's weight."""
    found, settings = _comparable(record)
    loss = (-found["value"] if record.maximize else found["value"]).to_numpy()
    study = _study(found, settings)
    return found, settings, study, loss, _weights(study, [s.column for s in settings], np.arange(len(found)), loss)


def _study(found: pd.DataFrame, settings: list[Setting]) -> _Drawn:
    """The trials, numbered as the rows are."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name=STUDY)
    space = {s.column: _distribution(s) for s in settings}
    for _, row in found.iterrows():
        have = {column: d for column, d in space.items() if not np.isnan(row[column])}
        params = {
            column: row[column] if isinstance(d, FloatDistribution) else int(row[column]) for column, d in have.items()
        }
        study.add_trial(optuna.create_trial(value=row["value"], params=params, distributions=have))
    for trial in study.get_trials(deepcopy=False):  # sorted by distribution, and equal ones are slow to tell
        trial.distributions = {column: space[column] for column in trial.params}
    return _Drawn(STUDY, storage)


def _distribution(setting: Setting) -> BaseDistribution:
    if setting.choices is not None:
        return CategoricalDistribution(range(len(setting.choices)))
    if setting.integer:
        return IntDistribution(int(setting.low), int(setting.high), log=setting.log)
    return FloatDistribution(setting.low, setting.high, log=setting.log)


def _weights(study: _Drawn, columns: list[str], chosen: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Not normalised, over the chosen trials; 0 of a setting that none of them has."""
    everyone = optuna.Study.get_trials(study, deepcopy=False)
    study.drawn = [everyone[i] for i in chosen]
    evaluator = PedAnovaImportanceEvaluator(target_quantile=target_quantile(len(chosen)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a smaller target is better, and that few trials have a setting
        found = get_param_importances(
            study, evaluator=evaluator, target=lambda trial: loss[trial.number], normalize=False
        )
    return np.array([found.get(column, 0.0) for column in columns])


def _shares(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights / total if total else np.full(len(weights), 1 / len(weights))
