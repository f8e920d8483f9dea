"""What the person sees at the end: the best settings, the top trials, the confirmation, and where to look further."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from search.confirm import Confirmed, confirmed
from search.dataset import DataSource
from search.journal import Journal, TrialRecord, leaders
from search.outcomes import Outcome
from search.progress import duration
from search.spec import Spec

TOP = 5


def show(console: Console, spec: Spec, journal: Journal, source: DataSource) -> None:
    """Print the state of a search, finished or not."""
    records = [r for r in journal.records.values() if r.phase == "search"]
    ranked = leaders(records, spec.objective.metric, spec.objective.maximize)
    console.print()
    console.print(f"[bold]{spec.name}[/] on {source.title}: {_counts(records)} in {duration(journal.seconds)}")
    if source.substitute_for:
        console.print(substitute_warning(source))
    if not ranked:
        console.print("[red]No trial has a result.[/] The reasons stand above, and under errors/ in the search's folder.")
        return
    found = confirmed(spec, journal)
    console.print(_settings(spec, found[0].params if found else ranked[0].params, "Best settings" + (" (confirmed)" if found else "")))
    console.print(_top(spec, ranked[:TOP]))
    if found:
        console.print(_confirmation(spec, found))
        console.print(Text(protocol(spec), "dim"))


def substitute_warning(source: DataSource) -> Panel:
    """That the figures are not those of the data set that was asked for."""
    return Panel(
        f"{source.substitute_for} could not be found or downloaded. Everything here was trained on [bold]{source.name}[/] instead: "
        f"no figure says anything about {source.substitute_for}.",
        title=f"NOT {source.substitute_for}",
        style="bold red",
    )


def protocol(spec: Spec) -> str:
    """How the test figures came about, in a sentence."""
    if spec.data.validation == "test":
        return "validation: test. Settings were chosen on the test set, as the publication did: its figures are too good."
    n = spec.confirm.seeds if spec.confirm else 0
    return (
        f"Each was retrained on {n} fresh seed{'s' if n != 1 else ''}; the first is the best by {spec.objective.metric}. The test set was read for this table only. "
        "± is the standard deviation over seeds."
    )


def percent(metric: str, mean: float, spread: float | None) -> str:
    """An accuracy as `62.66 ± 0.31 %`, a loss as `1.093 ± 0.012`."""
    scale, digits, unit = (100, 2, " %") if metric.endswith("accuracy") else (1, 4, "")
    text = f"{scale * mean:.{digits}f}"
    return text + (f" ± {scale * spread:.{digits}f}" if spread is not None else "") + unit


def _counts(records: Iterable[TrialRecord]) -> str:
    counts = Counter(record.outcome for record in records)
    parts = [f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]]
    return f"{sum(counts.values())} trials ({', '.join(parts)})" if parts else "no trials"


def _settings(spec: Spec, params: dict, title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for key in [p.key for p in spec.space.parameters if p.key in params] or ["model", "lr", "batch_size"]:
        value = params[key]
        table.add_row(f"  {key}", f"[bold]{value:.6g}[/]" if isinstance(value, float) else f"[bold]{value}[/]")
    return table


def _top(spec: Spec, ranked: list[TrialRecord]) -> Table:
    metric = spec.objective.metric
    searched = [p.key for p in spec.space.parameters]
    table = Table(title=f"Top trials by {metric}", title_justify="left", header_style="bold")
    for heading in ("trial", metric, "epochs", "outcome", *searched):
        table.add_column(heading, justify="left" if heading in ("outcome", "model") else "right")
    for record in ranked:
        values = [record.params.get(key, "-") for key in searched]
        shown = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in values]
        table.add_row(str(record.number), percent(metric, record.last[metric], None), str(len(record.epochs)), str(record.outcome), *shown)
    return table


def _confirmation(spec: Spec, found: list[Confirmed]) -> Table:
    metric = spec.objective.metric
    table = Table(title="Confirmed on fresh seeds", title_justify="left", header_style="bold")
    for heading in ("trial", metric, "test accuracy", "n"):
        table.add_column(heading, justify="right")
    for c in found:
        shown = [percent(name, c.mean(name), c.spread(name)) for name in (metric, "test_accuracy")]
        table.add_row(str(c.number), *shown, str(len(c.runs)))
    return table
