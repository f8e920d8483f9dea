"""How much better one set of runs is than another, and how sure that is.

With the three runs a side that are usual here, a bootstrap interval is much too narrow: its ends can lie no
further out than the runs themselves. So a t interval stands beside it, and a verdict needs both. Share of 2,000
normal samples whose 95 % interval holds the true mean, for differences matched by seed, and for as many runs on
either side without a match:

    n    bootstrap   t      bootstrap, unmatched   Welch's t
    2    0.51        0.95   0.66                   0.98
    3    0.75        0.95   0.80                   0.96
    5    0.84        0.95   0.88                   0.96
    10   0.90        0.94   0.91                   0.95

    for n in (2, 3, 5, 10):
        a, b = np.random.default_rng(0).standard_normal((2, n, 2000))
        for samples, gap in (((a,), np.mean), ((a, b), lambda a, b, axis: a.mean(axis) - b.mean(axis))):
            t = stats.ttest_ind(a, b, equal_var=False) if len(samples) == 2 else stats.ttest_1samp(a, 0)
            boot = stats.bootstrap(samples, gap, method="percentile", n_resamples=4999, batch=250, rng=0)
            for i in (boot.confidence_interval, t.confidence_interval()):
                print(n, len(samples), ((i.low <= 0) & (0 <= i.high)).mean())

Of scipy's bootstrap methods the percentile one is taken: with n = 3, and 20,000 samples, it held the mean in
0.747 of them, the basic one in 0.751, BCa in 0.717; with n = 10 in 0.900, 0.901 and 0.898.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.errors import Missing

LEVEL = 0.95
RESAMPLES = 9999
DECIMALS = 12
"""Smaller differences are rounding errors."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """The first set of runs less the second."""

    mean: float
    sizes: tuple[int, int]
    """The runs that were compared, of either set."""
    paired: bool
    """Whether they were matched by seed."""
    left_out: int
    """Runs of either set whose seed the other lacks; of matched ones alone."""
    bootstrap: Interval | None
    """95 %, percentile; None with a single run on a side."""
    t: Interval | None
    """95 %, of Student's t, or of Welch's where runs are not matched."""

    @property
    def n(self) -> str:
        """What was compared, in words."""
        if self.sizes == (1, 1):
            return "one run each"
        if not self.paired:
            return f"{self.sizes[0]} and {self.sizes[1]} runs, not matched"
        rest = f", {self.left_out} run{'s' * (self.left_out > 1)} left out" if self.left_out else ""
        return f"{self.sizes[0]} pairs of runs with the same seed{rest}"

    def verdict(self, maximize: bool = True) -> str:
        """What it says of the first set, for a reader who is no statistician."""
        if self.bootstrap is None or self.t is None:
            return "no interval from one run each" if self.sizes == (1, 1) else "no interval with one run on a side"
        word = "better" if (self.mean > 0) == maximize else "worse"
        if self.bootstrap[0] == self.bootstrap[1]:
            same = f"not certain, {word} by the same in every run, which leaves no spread to judge by"
            return "equal in every run" if self.mean == 0 else same
        certain = [low > 0 or high < 0 for low, high in (self.bootstrap, self.t)]
        if all(certain):
            return f"{word}, both intervals exclude zero"
        if not any(certain):
            return "not certain, both intervals include zero"
        return f"not certain, the {'t' if certain[0] else 'bootstrap'} interval includes zero"

    def describe(self, metric: str, maximize: bool) -> str:
        """The difference, its intervals and the verdict in one sentence."""
        said = f"{signed(metric, self.mean)} {unit(metric)}".strip()
        if self.t is not None and self.bootstrap is not None:
            said += f" (95 % t interval {span(metric, self.t)}, bootstrap {span(metric, self.bootstrap)})"
        return f"{said}, {self.n}: {self.verdict(maximize)}."


def difference(a: pd.Series, b: pd.Series, *, seed: int = 0) -> Difference:
    """Compare two sets of results.

    Where at least two seeds are shared, the differences of the runs with equal seeds are taken, else those of all
    runs. Welch's interval: Welch, The generalization of "Student's" problem, Biometrika 34 (1947).

    Args:
        a: a value a run, by seed, each seed once; those that are no finite number are left out.
        b: likewise.
        seed: of the bootstrap.

    Raises:
        Missing: a side has no value.
    """
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if a.empty or b.empty:
        raise Missing("There is nothing to compare: one side has no value.")
    shared = a.index.intersection(b.index)
    if len(shared) >= 2:
        gaps = (a[shared] - b[shared]).to_numpy(float).round(DECIMALS)
        mean, se = float(gaps.mean()), float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
        left_out = len(a) + len(b) - 2 * len(shared)
        sizes = (len(shared), len(shared))
        return Difference(mean, sizes, True, left_out, _bootstrap((gaps,), seed), _t(mean, se, len(gaps) - 1))
    sides = a.to_numpy(float), b.to_numpy(float)
    mean = round(float(sides[0].mean() - sides[1].mean()), DECIMALS)
    sizes = (len(a), len(b))
    if min(sizes) < 2:
        return Difference(mean, sizes, False, 0, None, None)
    return Difference(mean, sizes, False, 0, _bootstrap(sides, seed), _welch(mean, *sides))


def signed(metric: str, value: float) -> str:
    """A difference as it is read: of accuracies in percentage points."""
    return f"{100 * value:+.2f}" if metric.endswith("accuracy") else f"{value:+.4f}"


def span(metric: str, interval: Interval) -> str:
    """An interval as it is read."""
    return f"{signed(metric, interval[0])} to {signed(metric, interval[1])}"


def unit(metric: str) -> str:
    """Of a difference."""
    return "percentage points" if metric.endswith("accuracy") else ""


def _welch(mean: float, a: np.ndarray, b: np.ndarray) -> Interval:
    shares = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    se = math.sqrt(sum(shares))
    if se < 10**-DECIMALS:
        return mean, mean
    freedom = se**4 / (shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1))
    return _t(mean, se, freedom)


def _t(mean: float, se: float, freedom: float) -> Interval:
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * se
    return float(mean - half), float(mean + half)


def _bootstrap(samples: tuple[np.ndarray, ...], seed: int) -> Interval:
    found = stats.bootstrap(
        samples, _gap, confidence_level=LEVEL, n_resamples=RESAMPLES, method="percentile", vectorized=True, rng=seed
    ).confidence_interval
    return round(float(found.low), DECIMALS), round(float(found.high), DECIMALS)


def _gap(first: np.ndarray, *second: np.ndarray, axis: int) -> np.ndarray:
    return first.mean(axis) - (second[0].mean(axis) if second else 0)
