"""Checks that every sampler must pass, for those who add one.

    from search.testing import check_sampler

    def test_mine(tmp_path):
        check_sampler("mine", {"lr": {"loguniform": [1e-4, 0.1]}, "width": {"int": [8, 64]}}, tmp_path)

Each raises AssertionError with what is wrong. Nothing is trained: what a trial gives is made up from its settings.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from contract.events import SEARCH
from contract.metrics import Metrics
from contract.outcomes import Outcome
from search.journal.records import TrialRecord
from search.spec.loader import parse
from search.spec.spec import Spec
from search.study.study import StudySearcher

Curve = tuple[list[float], Outcome]
"""What training a configuration gives: the objective after each epoch, and how the trial ends."""
TRIALS = 16


def check_sampler(name: str, space: Mapping[str, Any], folder: Path) -> None:
    """Check that a sampler keeps to a space, and that what it proposes follows from its seed.

    Args:
        name: the sampler's, as a spec has it.
        space: the `space` section of a spec; a classifier's hyperparameters.
        folder: an empty one, for the studies.

    Raises:
        AssertionError: it does not.
    """
    spec = made_spec(name, space, seed=0, trials=TRIALS)
    tried, _ = drive(spec, folder / "two-at-a-time.log", mixed_outcomes, at_a_time=2)
    assert len(tried) == spec.trials, f"{name} proposed {len(tried)} of {spec.trials} configurations"
    for params in tried:
        check_configuration(spec, params)
    uninterrupted, _ = drive(spec, folder / "uninterrupted.log", mixed_outcomes)
    resumed, _ = drive(spec, folder / "resumed.log", mixed_outcomes, resumed=True)
    assert resumed == uninterrupted, f"{name} proposes others when the search is resumed: seed it by the trial's number"


def check_configuration(spec: Spec, params: Mapping[str, Any]) -> None:
    """Check that a configuration has the keys whose conditions are met, each with a value of its range.

    Raises:
        AssertionError: it has not.
    """
    expected = set(spec.space.constants)
    for parameter in spec.space.parameters:
        if not all(params.get(key) in allowed for key, allowed in parameter.when.items()):
            continue
        expected.add(parameter.key)
        assert parameter.key in params, f"{parameter.key} is missing in {dict(params)}"
        value, d = params[parameter.key], parameter.distribution
        if not isinstance(d, CategoricalDistribution):
            kind = type(parameter.extremes[0])
            assert type(value) is kind, f"{parameter.key} is {value!r}, not a value of kind {kind.__name__}"
        assert parameter.holds(value), f"{parameter.key} is {value!r}, not in {parameter.describe()}"
    assert set(params) == expected, f"keys that do not belong there: {set(params) ^ expected}"


def made_spec(sampler: str, space: Mapping[str, Any], *, seed: int, trials: int) -> Spec:
    """A spec of a space, of whose other sections nothing is said.

    Raises:
        AssertionError: the space is none, or the sampler cannot search it.
    """
    content = {
        "name": "made",
        "data": "digits",
        "space": dict(space),
        "sampler": {"name": sampler, "seed": seed},
        "budget": {"trials": trials},
    }
    spec, problems = parse(content, "made.yaml", {})
    assert spec is not None, "; ".join(f"{p.key}: {p.text}" for p in problems)
    return spec


def drive(
    spec: Spec, study: Path, train: Callable[[Mapping[str, Any]], Curve], *, at_a_time: int = 1, resumed: bool = False
) -> tuple[list[dict[str, Any]], list[float]]:
    """Ask and tell a study until the search ends.

    Args:
        spec: the search.
        study: the file to keep it in; what is there is replaced.
        train: makes up a trial from its settings.
        at_a_time: trials that run at the same time.
        resumed: whether each trial is proposed by a new driver.

    Returns:
        Every configuration in turn, and its last value.

    Raises:
        AssertionError: the search does not end.
    """
    study.unlink(missing_ok=True)
    searcher = StudySearcher(spec, study)
    tried: list[dict[str, Any]] = []
    values: list[float] = []
    while len(tried) <= spec.trials:
        asked = [a for _ in range(at_a_time) if (a := searcher.ask()) is not None]
        if not asked:
            return tried, values
        for number, params in asked:
            curve = train(params)
            tell(searcher, number, curve)
            tried.append(params)
            values.append(curve[0][-1])
        if resumed:
            searcher = StudySearcher(spec, study)
    raise AssertionError(f"the search proposes more than its {spec.trials} trials")


def mixed_outcomes(params: Mapping[str, Any]) -> Curve:
    """A search as it is: some trials complete, some are stopped, diverge or fail; the same for the same settings."""
    kind = len(repr(sorted(params.items()))) % 7  # as good as random
    if kind == 0:
        return [0.1, math.nan], Outcome.DIVERGED
    if kind == 1:
        return [0.1], Outcome.FAILED
    last = 1 / (1 + abs(math.log10(params.get("lr", 0.01)) + 2)) + params.get("decay_interval", 5) / 100
    return ([last / 2, last], Outcome.COMPLETED) if kind % 2 else ([last / 2], Outcome.STOPPED)


def tell(searcher: StudySearcher, number: int, curve: Curve) -> None:
    """Tell a study of a whole trial."""
    values, outcome = curve
    for epoch, value in enumerate(values, 1):
        searcher.report(number, epoch, value)
    epochs: dict[int, Metrics] = {
        epoch: {searcher.spec.objective.metric: value} for epoch, value in enumerate(values, 1)
    }
    searcher.tell(TrialRecord(str(number), number, SEARCH, {}, 0.0, epochs, outcome))
