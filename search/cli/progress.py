"""What the person sees while a search runs: a live view on a terminal, else a line for each event that matters."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contract.events import CONFIRM, SEARCH, EpochEnded, Event, MicroBatchSet, Phase, StateLost, TrialEnded
from contract.formatting import NOT_SET, duration, setting
from contract.outcomes import Outcome
from search.cli.context import Context
from search.journal.records import TrialRecord, best_first

STYLES = {
    Outcome.COMPLETED: "green",
    Outcome.STOPPED: "yellow",
    Outcome.DIVERGED: "magenta",
    Outcome.FAILED: "red",
    Outcome.INTERRUPTED: "cyan",
}
QUIET_S = 60.0
"""Seconds without a line after which one says what is running."""
MAX_RUNNING_ROWS = 16
"""Running trials that are shown by name."""


class Progress:
    """A view of one phase of a search: a context in which it listens to the journal."""

    def __init__(self, context: Context, phase: Phase, total: int, concurrent: int):
        """Show nothing before the context is entered.

        Args:
            context: the search.
            phase: the one that is shown.
            total: the number of trials of the phase.
            concurrent: the number of trials that run at a time.
        """
        self.console, self.spec, self.journal = context.console, context.spec, context.journal
        self.phase, self.total, self.concurrent, self.title = phase, total, concurrent, context.source.title
        self.metric = self.spec.objective.metric
        self.searched = [p.key for p in self.spec.space.parameters] + (["seed"] if phase == CONFIRM else [])
        self.started = self._printed = time.time()
        self.before = sum(r.outcome not in (None, Outcome.INTERRUPTED) for r in self._records())
        self._live = (
            Live(get_renderable=self._view, console=self.console, refresh_per_second=4, transient=True)
            if self.console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        self.journal.listeners.append(self._hear)
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.journal.listeners.remove(self._hear)
        if self._live:
            self._live.stop()

    def settings(self, params: Mapping[str, Any]) -> str:
        """The searched settings of a trial in short: `lr=0.0032 batch_size=64`."""
        return " ".join(f"{key}={setting(params[key])}" for key in self.searched if key in params)

    def _hear(self, event: Event) -> None:
        if isinstance(event, EpochEnded) and not self._live and time.time() - self._printed > QUIET_S:
            self._print(self._status())
        if isinstance(event, StateLost):
            self._warn(event.id, event.text)
        if isinstance(event, MicroBatchSet) and event.reason:
            self._warn(event.id, f"{event.reason}: continues with {event.micro_batch} images at a time")
        if not isinstance(event, TrialEnded):
            return
        record = self.journal.records[event.id]
        failed = record.outcome in (Outcome.FAILED, Outcome.DIVERGED)
        # The live view shows ordinary ends; an error must not scroll away with it.
        if not self._live or failed:
            self._print(self._line(record))

    def _warn(self, id: str, text: str) -> None:
        self._print(f"{time.strftime('%H:%M:%S')} {id}  [yellow]{escape(text)}[/]")

    def _print(self, line: str) -> None:
        self._printed = time.time()
        self.console.print(line, soft_wrap=True, highlight=False)

    def _status(self) -> str:
        """What is running, to be printed when nothing else was for a while."""
        running = [
            f"{r.id} {len(r.epochs)}/{r.params['epochs']}" + (f" {self._value(r)}" if r.last else "")
            for r in self._records()
            if r.outcome is None
        ]
        return f"{time.strftime('%H:%M:%S')} running: {', '.join(running[:MAX_RUNNING_ROWS])}"

    def _line(self, record: TrialRecord) -> str:
        clock = time.strftime("%H:%M:%S")
        done = sum(r.outcome is not None for r in self._records())
        value = f"  {self.metric} {self._value(record)}" if record.last else ""
        best = self._best()
        mark = "  [bold green]best so far[/]" if self.phase == SEARCH and best is record else ""
        reason = f"  {escape(record.reason)}" if record.reason and record.outcome is not Outcome.STOPPED else ""
        style = STYLES[record.outcome] if record.outcome else ""
        return (
            f"{clock} {done:>{len(str(self.total))}}/{self.total}  {record.id}  "
            f"[{style}]{record.outcome}[/] after epoch "
            f"{len(record.epochs)}{value}  {escape(self.settings(record.params))}{reason}{mark}"
        )

    def _view(self) -> RenderableType:
        records = list(self._records())
        counts = Counter(r.outcome for r in records)
        ended = sum(n for outcome, n in counts.items() if outcome not in (None, Outcome.INTERRUPTED))
        heading = Text.assemble((f"{self.phase}  ", "bold"), self.title, f"   {ended}/{self.total} trials   ")
        for outcome, style in STYLES.items():
            if counts[outcome]:
                heading.append(f"{counts[outcome]} {outcome}  ", style)
        lines: list[RenderableType] = [heading, Text(self._times(ended), "dim")]
        best = self._best()
        if best is not None and self.phase == SEARCH:
            lines.append(
                Text(
                    f"best so far: {self.metric} {self._value(best)} after epoch {len(best.epochs)}  "
                    f"{self.settings(best.params)}",
                    "bold green",
                )
            )
        lines.append(self._running([r for r in records if r.outcome is None]))
        return Group(*lines)

    def _running(self, records: list[TrialRecord]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("running", "epoch", self.metric, "settings"):
            table.add_column(column, overflow="ellipsis", no_wrap=True)
        for record in records[:MAX_RUNNING_ROWS]:
            table.add_row(
                record.id,
                f"{len(record.epochs)}/{record.params['epochs']}",
                self._value(record),
                escape(self.settings(record.params)),
            )
        if len(records) > MAX_RUNNING_ROWS:
            table.add_row(f"and {len(records) - MAX_RUNNING_ROWS} more", "", "", "")
        return table

    def _times(self, ended: int) -> str:
        elapsed = time.time() - self.started
        text = f"{duration(elapsed)} elapsed"
        new = ended - self.before
        # The first trials to end are poor ones that were stopped early: the rate says nothing before a few rounds.
        if new >= 2 * self.concurrent:
            text += f", about {duration(elapsed / new * (self.total - ended))} left"
        return text

    def _value(self, record: TrialRecord) -> str:
        """The objective after a trial's last epoch."""
        return f"{record.last[self.metric]:.4f}" if record.last else NOT_SET

    def _best(self) -> TrialRecord | None:
        ranked = best_first(self._records(), self.metric, self.spec.objective.maximize)
        return ranked[0] if ranked else None

    def _records(self) -> list[TrialRecord]:
        return self.journal.trials(self.phase)
