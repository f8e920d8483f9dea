"""What the person sees at the end: the best settings, the top trials, and their confirmation."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from search.confirm import Confirmed, best, confirmed
from search.dataset import DataSource
from search.journal import Journal, TrialRecord
from search.outcomes import Outcome
from search.progress import duration
from search.spec import Spec

TOP = 5


def show(console: Console, spec: Spec, journal: Journal, source: DataSource) -> None:
    """Print the state of a search, finished or not."""
    ranked = best(spec, journal)
    console.print()
    console.print(
        f"[bold]{spec.name}[/] on {source.title}: {_counts(journal.of('search'))} in {duration(journal.seconds)}"
    )
    if source.substitute_for:
        console.print(substitute_warning(source))
    if not ranked:
        console.print("No trial has finished: there is no result yet.")
        return
    found = confirmed(spec, journal)
    searched = [p.key for p in spec.space.parameters if p.key != "seed"]
    if searched:
        params = found[0].params if found else ranked[0].params
        console.print(_settings(searched, params, "Best settings, confirmed" if found else "Best settings"))
    console.print(_top(spec, searched, ranked))
    if found:
        console.print(_confirmation(spec, found))
    console.print(Text(protocol(spec), "dim"))


def substitute_warning(source: DataSource) -> Panel:
    """That the figures are not those of the data set that was asked for."""
    return Panel(
        f"{source.substitute_for} could not be found or downloaded. Everything here was trained on "
        f"[bold]{source.name}[/] instead: no figure says anything about {source.substitute_for}.",
        title=f"NOT {source.substitute_for}",
        style="bold red",
    )


def protocol(spec: Spec) -> str:
    """How the figures came about, in a sentence or two."""
    parts = []
    if spec.data.validation == "test":
        parts.append("validation: test, as in the publication: settings were chosen on the test set, and val is test.")
    if spec.confirm:
        n = f"{spec.confirm.seeds} fresh seed{'s' if spec.confirm.seeds != 1 else ''}"
        parts.append(f"Confirmed: retrained on {n}; the first is the best by mean {spec.objective.metric}.")
        if spec.data.validation != "test":
            parts.append("The test set was read for this alone.")
    return " ".join([*parts, "± is the standard deviation over seeds."])


def percent(metric: str, values: list[float]) -> str:
    """The mean of an accuracy as `62.66 ± 0.31 %`, of a loss as `1.0930 ± 0.0121`; one value has no ±."""
    scale, digits, unit = (100, 2, " %") if metric.endswith("accuracy") else (1, 4, "")
    text = f"{scale * statistics.fmean(values):.{digits}f}"
    return text + (f" ± {scale * statistics.stdev(values):.{digits}f}" if len(values) > 1 else "") + unit


def _counts(records: Iterable[TrialRecord]) -> str:
    counts = Counter(record.outcome for record in records)
    parts = [f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]]
    return f"{sum(counts.values())} trials ({', '.join(parts)})" if parts else "no trials"


def _settings(searched: list[str], params: Mapping[str, Any], title: str) -> Table:
    table = Table("", "", title=title, title_justify="left", title_style="italic", show_header=False, box=None)
    table.min_width = len(title)
    for key in searched:
        if key in params:
            table.add_row(f"  {key}", f"[bold]{_shown(params[key], 6)}[/]")
    return table


def _top(spec: Spec, searched: list[str], ranked: list[TrialRecord]) -> Table:
    """The best trials, or the best settings with their spread where the search repeats them over seeds."""
    metric = spec.objective.metric
    repeated = any(p.key == "seed" for p in spec.space.parameters)
    groups: dict[tuple, list[TrialRecord]] = {}
    for r in ranked:
        groups.setdefault(tuple(r.params.get(key) for key in searched) if repeated else (r.id,), []).append(r)
    sign = -1 if spec.objective.maximize else 1
    ordered = sorted(groups.values(), key=lambda rs: sign * statistics.fmean(r.last[metric] for r in rs))
    title = f"Settings by mean {metric} over seeds" if repeated else f"Top trials by {metric}"
    table = _table(title, "n" if repeated else "trial", metric, "epochs", "outcome", *searched)
    for rs in ordered if repeated else ordered[:TOP]:
        table.add_row(
            str(len(rs) if repeated else rs[0].number),
            percent(metric, [r.last[metric] for r in rs]),
            "/".join(sorted({str(len(r.epochs)) for r in rs})),
            "/".join(sorted({str(r.outcome) for r in rs})),
            *(_shown(rs[0].params.get(key, "-"), 4) for key in searched),
        )
    return table


def _confirmation(spec: Spec, found: list[Confirmed]) -> Table:
    metrics = (spec.objective.metric, "test_accuracy")
    table = _table("Confirmed on fresh seeds", "trial", *metrics, "n")
    for c in found:
        table.add_row(str(c.number), *(percent(m, c.values(m)) for m in metrics), str(len(c.runs)))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", min_width=len(title))
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _shown(value: Any, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else escape(str(value))
