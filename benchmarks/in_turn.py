"""Measurements taken in turn, and what is said of them: medians, ratios within a round, and the machine."""

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

import psutil


def in_turn(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contestant measured, a value a round: A, B, C, then A, B, C again, so that noise hits all alike."""
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            measured[name].append(measure())
    return measured


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The ratios of what was measured in the same round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """The median and, in brackets, the least and the most."""
    middle, low, high = (f"{v:.{digits}g}" for v in (statistics.median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def machine() -> str:
    """The date, the processor, how many cores, and the load before the measurement, for people."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    load = psutil.getloadavg()[0]
    return (
        f"{date.today()}, {psutil.cpu_count(logical=False)} cores of {names[0] if names else platform.processor()}, "
        f"Python {platform.python_version()}, load before {load:.1f}"
    )
