"""Which settings mattered: PED-ANOVA's importance of each, and how sure it is."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from analysis.errors import Missing
from analysis.optuna_private import SampledStudy, sampled_study
from analysis.record import MIN_TRIALS, Record
from analysis.scales import positions
from analysis.setting import Setting

RESAMPLES = 50
"""Resamples of the trials, and as many shufflings: both take a second for 500 trials and five settings."""
INTERVAL = (0.05, 0.95)
"""The quantiles of the resamples that are the ends of the interval."""
CHANCE = 0.95
"""The quantile of the shufflings that stands for what chance alone can reach."""
MIN_GOOD_SHARE, MIN_GOOD_TRIALS = 0.1, 5
"""The best trials, which PED-ANOVA tells from the rest: at least this share of all, and so many."""
Array = np.ndarray[Any, Any]


def importances(record: Record) -> pd.DataFrame:
    """Work out each setting's share in what makes a trial one of the best tenth (PED-ANOVA), with its uncertainty.

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
            "setting": [s.key for s in settings],
            "importance": share,
            "low": np.minimum(low, share),
            "high": np.maximum(high, share),
            "chance": np.quantile(shuffled, CHANCE, axis=0) / (weights.sum() or 1),
            "n": [int(found[column].notna().sum()) for column in columns],
        }
    )
    return rows.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def most_important(record: Record, n: int) -> list[Setting]:
    """The settings that matter most, the most important first; in the spec's order where they cannot be compared."""
    try:
        _, settings, _, _, weights = _weighed(record)
    except Missing:
        return record.settings[:n]
    weight = {s.key: w for s, w in zip(settings, weights, strict=True)}
    return sorted(record.settings, key=lambda s: -weight.get(s.key, 0.0))[:n]


def varied(record: Record) -> list[Setting]:
    """The settings of which the trials had two or more values, the most important first."""
    return [s for s in most_important(record, len(record.settings)) if s.column in positions(record)]


def target_quantile(trials: int) -> float:
    """The share of the trials that counts as good: a tenth, but at least five trials, as Optuna advises."""
    return max(MIN_GOOD_SHARE, MIN_GOOD_TRIALS / trials)


def _comparable(record: Record) -> tuple[pd.DataFrame, list[Setting]]:
    found = positions(record)
    settings = [s for s in record.settings if s.column in found]
    epoch = record.comparable_epoch
    if len(found) < MIN_TRIALS:
        raise Missing(
            f"Trials that reached epoch {epoch}: {len(found)}. It takes {MIN_TRIALS} to tell which settings mattered."
        )
    if len(settings) < 2:
        what = f"Only {settings[0].key} was varied" if settings else "No setting was varied"
        raise Missing(f"{what}: with fewer than two settings there is nothing to weigh against each other.")
    if found["value"].nunique() == 1:
        raise Missing(f"All {len(found)} trials have the same {record.metric} after epoch {epoch}.")
    return found, settings


@lru_cache(maxsize=1)
def _weighed(record: Record) -> tuple[pd.DataFrame, list[Setting], SampledStudy, Array, Array]:
    """The trials, the settings that vary, both as a study, the loss to be lowered, and each setting's weight."""
    found, settings = _comparable(record)
    loss = (-found["value"] if record.maximize else found["value"]).to_numpy()
    study = _study(found, settings)
    return found, settings, study, loss, _weights(study, [s.column for s in settings], np.arange(len(found)), loss)


def _study(found: pd.DataFrame, settings: list[Setting]) -> SampledStudy:
    """The trials as a study, numbered as the rows are."""
    space = {s.column: _distribution(s) for s in settings}
    trials = []
    for _, row in found.iterrows():
        have = {column: d for column, d in space.items() if not np.isnan(row[column])}
        params = {
            column: row[column] if isinstance(d, FloatDistribution) else int(row[column]) for column, d in have.items()
        }
        trials.append(optuna.create_trial(value=row["value"], params=params, distributions=have))
    return sampled_study(trials, space)


def _distribution(setting: Setting) -> BaseDistribution:
    if setting.choices is not None:
        return CategoricalDistribution(range(len(setting.choices)))
    if setting.integer:
        return IntDistribution(int(setting.low), int(setting.high), log=setting.log)
    return FloatDistribution(setting.low, setting.high, log=setting.log)


def _weights(study: SampledStudy, columns: list[str], chosen: Array, loss: Array) -> Array:
    """Each column's weight over the chosen trials, not normalised; 0 for a setting that none of them has."""
    everyone = study.all_trials()
    study.sample = [everyone[i] for i in chosen]
    evaluator = PedAnovaImportanceEvaluator(target_quantile=target_quantile(len(chosen)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a smaller target is better, and that few trials have a setting
        found = get_param_importances(
            study, evaluator=evaluator, target=lambda trial: loss[trial.number], normalize=False
        )
    return np.array([found.get(column, 0.0) for column in columns])


def _shares(weights: Array) -> Array:
    total = weights.sum()
    return weights / total if total else np.full(len(weights), 1 / len(weights))
