"""What the person sees at the end: the best settings, the top trials, and their confirmation."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contract.events import SEARCH
from contract.formatting import NOT_SET, counted, duration, mean_and_spread, setting
from contract.metrics import TEST_ACCURACY
from contract.outcomes import Outcome
from search.cli.context import Context
from search.journal.records import TrialRecord
from search.orchestration.confirmation import Confirmation, best, confirmed
from search.spec.spec import Spec
from search.trial.data_source import DataSource

MAX_TOP = 5
"""Trials in the table of the best."""


def show(context: Context) -> None:
    """Print the state of a search, finished or not."""
    console, spec, journal, source = context.console, context.spec, context.journal, context.source
    ranked = best(spec, journal)
    console.print()
    console.print(
        f"[bold]{spec.name}[/] on {source.title}: {_counts(journal.trials(SEARCH))} in {duration(journal.seconds)}"
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
    console.print(Text(spec.protocol, "dim"))


def substitute_warning(source: DataSource) -> Panel:
    """A warning that the figures are not those of the data set that was asked for."""
    return Panel(
        f"{source.substitute_for} was neither found nor downloaded. Everything here is trained on "
        f"[bold]{source.name}[/] instead, and no figure says anything about {source.substitute_for}.",
        title=f"NOT {source.substitute_for}",
        style="bold red",
    )


def _counts(records: Iterable[TrialRecord]) -> str:
    counts = Counter(record.outcome for record in records)
    parts = [f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]]
    return f"{counted(sum(counts.values()), 'trial')} ({', '.join(parts)})" if parts else "no trials"


def _settings(searched: list[str], params: Mapping[str, Any], title: str) -> Table:
    table = Table("", "", title=title, title_justify="left", title_style="italic", show_header=False, box=None)
    table.min_width = len(title)
    for key in searched:
        if key in params:
            table.add_row(f"  {key}", f"[bold]{escape(setting(params[key], 6))}[/]")
    return table


def _top(spec: Spec, searched: list[str], ranked: list[TrialRecord]) -> Table:
    """The best trials, or the best settings with their spread where the search repeats them over seeds."""
    metric = spec.objective.metric
    repeated = any(p.key == "seed" for p in spec.space.parameters)
    groups: dict[tuple[Any, ...], list[TrialRecord]] = {}
    for record in ranked:
        key = tuple(record.params.get(name) for name in searched) if repeated else (record.id,)
        groups.setdefault(key, []).append(record)
    sign = -1 if spec.objective.maximize else 1
    ordered = sorted(groups.values(), key=lambda records: sign * statistics.fmean(r.last[metric] for r in records))
    title = f"Settings by mean {metric} over seeds" if repeated else f"Top trials by {metric}"
    table = _table(title, "n" if repeated else "trial", metric, "epochs", "outcome", *searched)
    for records in ordered if repeated else ordered[:MAX_TOP]:
        table.add_row(
            str(len(records) if repeated else records[0].number),
            mean_and_spread(metric, [r.last[metric] for r in records]),
            "/".join(sorted({str(len(r.epochs)) for r in records})),
            "/".join(sorted({str(r.outcome) for r in records})),
            *(escape(setting(records[0].params.get(name, NOT_SET), 4)) for name in searched),
        )
    return table


def _confirmation(spec: Spec, found: list[Confirmation]) -> Table:
    metrics = (spec.objective.metric, TEST_ACCURACY)
    table = _table("Confirmed on fresh seeds", "trial", *metrics, "n")
    for c in found:
        table.add_row(str(c.number), *(mean_and_spread(m, c.values(m)) for m in metrics), str(len(c.runs)))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", min_width=len(title))
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
