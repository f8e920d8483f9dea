"""How figures, settings and errors read, wherever they are shown."""

import difflib
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from contract.metrics import is_share

NOT_SET = "-"


def duration(seconds: float) -> str:
    """A time as `1 h 02 min`, `3 min 20 s` or `8 s`; `unknown` where it is not finite."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def amount(metric: str, value: float, spread: float = math.nan) -> str:
    """A value with its standard deviation: of an accuracy `62.66 ± 0.31 %`, of a loss `1.0930 ± 0.0121`."""
    scale, digits, unit = (100, 2, " %") if is_share(metric) else (1, 4, "")
    text = f"{scale * value:.{digits}f}"
    return text + (f" ± {scale * spread:.{digits}f}" if math.isfinite(spread) else "") + unit


def mean_and_spread(metric: str, values: Sequence[float]) -> str:
    """The mean of some runs, with their standard deviation where there are several."""
    return amount(metric, statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan)


def setting(value: Any, digits: int = 3) -> str:
    """The value of a hyperparameter, a number with so many digits."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def counted(number: int, noun: str) -> str:
    """A number of things: `1 trial`, `30 trials`, `1,000 trials`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def first_line(error: BaseException) -> str:
    """The beginning of an error's text, of which libraries and servers write pages; its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest known name, or nothing when none is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
