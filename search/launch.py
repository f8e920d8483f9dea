"""From options to a finished search: check everything, then search, confirm, publish, sum up."""

import argparse
import contextlib
from collections.abc import Generator
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape

from search import (
    checks,
    confirm,
    description,
    dry_run,
    fitting,
    model_check,
    provenance,
    storage,
    summary,
    tracking_server,
)
from search.command_line import heed_allow_code
from search.dataset import DataSource
from search.ending import Ending
from search.engine import Engine
from search.errors import Problem, UserError
from search.folders import SPEC, SearchFolder, reaching, unusable, unwritable
from search.interrupts import Interrupts
from search.journal import Phase
from search.lasting import lasting
from search.phases import Phases
from search.progress import Progress
from search.proposers import ListProposer, StudyProposer
from search.schedulers import Asha
from search.searcher import StudySearcher
from search.session import Session, Setting, deadline
from search.spec import Spec, load
from search.tracking import Tracker
from search.tracking_server import TrackingUnreachable
from trainables.data import ImageData
from trainables.redaction import redact


def launch(options: argparse.Namespace, console: Console) -> int:
    """Do what the command line says; the exit code.

    Raises:
        UserError: a mistake in the spec, the data, the tracking, the resources or the search to resume.
    """
    heed_allow_code(options)
    spec = load(options.spec, tuple(options.set))
    source, data = _found(spec, options, console)
    if source.substitute_for:
        console.print(summary.substitute_warning(source))
    with Engine(spec, source, _shared(spec, options), options, lambda: model_check.problems(spec, data)) as engine:
        if options.dry_run:
            dry_run.show(console, spec, source, data, engine.describe())
            return 0
        if options.resume and spec.storage and storage.is_object_store(spec.storage):
            console.print("[dim]Looking whether another machine still runs the search: this takes seconds.[/]")
        folder = SearchFolder.open(_results(spec, options), spec, source, data, options.resume)
        return _Launch(spec, source, data, folder, engine, console, options).run()


def _shared(spec: Spec, options: argparse.Namespace) -> str | None:
    """Where the search's state goes as other machines know it, None where it is of this machine alone."""
    return spec.storage or (str(options.results.absolute()) if options.results else None)


def _results(spec: Spec, options: argparse.Namespace) -> Path:
    """The folder of all searches, as this machine knows it."""
    if spec.storage and not storage.is_object_store(spec.storage):
        return storage.folder(spec.storage)
    return options.results or lasting("results")


class _Launch:
    """One launch of a search that has been checked."""

    def __init__(
        self, spec: Spec, source: DataSource, data: ImageData, folder: SearchFolder,
        engine: Engine, console: Console, options: argparse.Namespace,
    ):  # fmt: skip
        self.spec, self.source, self.data, self.folder = spec, source, data, folder
        self.engine, self.console, self.options = engine, console, options
        self.journal = folder.journal
        self.trained_on = source
        """As workers load it."""

    def run(self) -> int:
        spec, journal = self.spec, self.journal
        uri = tracking_server.resolve_uri(spec.tracking.uri)
        tags = {**provenance.describe(), **self._tags()}
        self.console.print(
            f"[bold]{spec.name}[/] on {self.source.title}: up to {spec.trials} trials "
            f"of up to {spec.scheduler.max_epochs} epochs, {self.engine.describe()}",
            soft_wrap=True,
        )
        state = self.folder.mirror or self.folder.path
        self.console.print(
            f"[dim]state in {escape(redact(str(state)))}, runs in {escape(redact(uri))} under experiment "
            f"{experiment(spec, self.source)}; Ctrl-C ends it cleanly[/]",
            soft_wrap=True,
        )
        if self.engine.joined and (shared := _shared(spec, self.options)):
            with reaching(shared), self.console.status(f"copying {self.source.title} to {escape(redact(shared))}"):
                self.trained_on = self.source.copied(self.data, shared)
        try:
            searcher, described = self._begin()
        except OSError as error:
            raise UserError([unwritable(self.folder.path, error)]) from error
        tracker = Tracker(
            journal.path,
            uri,
            experiment(spec, self.source),
            tags,
            first_metric=spec.objective.metric,
            artifacts=(self.folder.path / SPEC, described),
        )
        broken = None
        with Interrupts() as interrupted:
            phases = Phases(self._sessions(searcher))
            if phases.exhausted:
                self.console.print(self._nothing_left())
            try:
                if not phases.exhausted:
                    self.engine.run(phases, interrupted, self._warn)
            except Exception as error:  # Ray's engine can end with many; what was trained is in the journal
                broken = redact(f"{type(error).__name__}: {error}")
            finally:
                phases.close()
        finished = not interrupted() and not broken and not phases.halted
        self._bring_checkpoints()
        summary.show(self.console, spec, journal, self.source)
        if broken:
            self.console.print(f"[red]The search broke off: {escape(broken)}[/]")
        if phases.halted:
            self.console.print(f"[red]The search was ended: {escape(phases.halted)}[/]")
        Ending(spec, self.source, self.folder, self.console, self.options, tracker).close(finished)
        self._let_go()
        if interrupted() or phases.halted:
            return 130
        return 0 if finished and any(r.epochs for r in journal.records.values()) else 1

    def _bring_checkpoints(self) -> None:
        try:
            self.folder.fetch_checkpoints()
        except OSError as error:
            self._warn(f"The checkpoints could not be fetched from {self.folder.mirror}: {error}.")

    def _let_go(self) -> None:
        self.journal.close()
        if self.folder.mirror is not None and not self.folder.mirror.close():
            where = f"{self.folder.mirror} ({self.folder.mirror.error})"
            self._warn(f"Not all of the state reached {where}: it is whole in {self.folder.path}, for --resume there.")

    def _nothing_left(self) -> str:
        if sum(not r.outside for r in self.journal.of("search")) >= self.spec.trials:
            return "Nothing is left to do: all trials have ended. To add some, raise budget.trials."
        if self.spec.budget.hours is not None:
            return "Nothing was started: budget.hours is used up. To go on, raise it."
        return "Nothing was started: the first trials all failed. Mend what they failed of, and start a new search."

    def _begin(self) -> tuple[StudySearcher, Path]:
        """The study, and the file that describes the search, once the journal says that a driver has started."""
        on = self.engine.describe()
        began = psutil.Process().create_time()
        self.journal.append("launch", on=on, concurrent=self.engine.slots.concurrent, command=began)
        self.journal.close_trials()
        described = description.describe(self.spec, self.source, self.data, on)
        return self._searcher(), description.write(described, self.folder.path)

    def _searcher(self) -> StudySearcher:
        """The study, brought up to the journal and to the space; what was lost or left out is said."""
        journal = self.journal
        if journal.damaged:
            self._warn(f"{journal.damaged} damaged lines of {journal.path} were left out: what they said is lost.")
        on_another_machine = not self.folder.study.exists()
        searcher = StudySearcher(self.spec, self.folder.study)
        if searcher.damaged:
            self._warn(
                f"The study was damaged and is made anew from the journal; it was put aside as {searcher.damaged}."
            )
        changed = searcher.changed
        if changed and journal.of("search"):
            outside = fitting.outside(self.spec, journal.records.values())
            inside = {r.id for r in journal.records.values() if r.outside} - outside
            journal.append("space", outside=sorted(outside), inside=sorted(inside))
            kept = [str(r.number) for r in journal.of("search") if not r.outside]
            left = [str(r.number) for r in journal.of("search") if r.outside]
            self.console.print(
                f"The space has changed. Kept as knowledge: trials {', '.join(kept)}."
                + (f" They do not fit it any more, and are left out: trials {', '.join(left)}." if left else "")
            )
        contradicted = searcher.reconcile(journal.of("search"))
        if contradicted and not (changed or searcher.damaged or on_another_machine):
            self._warn("The study contradicted the journal, and was made anew from it.")
        return searcher

    def _warn(self, text: str) -> None:
        self.console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)

    def _sessions(self, searcher: StudySearcher) -> Generator[Session, None, None]:
        """The search, then its confirmation, each with its view of the progress."""
        asha = Asha(description.rungs(self.spec), self.spec.scheduler.reduction_factor, self.spec.objective.maximize)
        out_of_time = deadline(self.journal, self.spec.budget.hours)
        proposer = StudyProposer(searcher)
        session = Session(self._setting("search", self.spec.kept), self.journal, proposer, asha, out_of_time)
        left_out = sum(r.outside for r in self.journal.of("search"))
        with contextlib.closing(proposer), self._progress("search", self.spec.trials + left_out):
            yield session
        if session.hopeless:
            self.console.print("[red]The first trials all failed before their first epoch: no more are started.[/]")
        proposals = confirm.proposals(self.spec, self.journal)
        session = Session(
            self._setting("confirm", len(proposals)), self.journal, ListProposer(proposals, self.journal), Asha(())
        )
        with self._progress("confirm", len(proposals)):
            yield session

    def _setting(self, phase: Phase, keep: int) -> Setting:
        return Setting(
            phase=phase,
            metric=self.spec.objective.metric,
            maximize=self.spec.objective.maximize,
            data=self.trained_on,
            classes=len(self.data.classes),
            folder=self.folder.path,
            mirror=self.folder.mirror,
            keep=keep,
            checkpoint_bytes=self.spec.budget.checkpoint_bytes,
            slots=self.engine.slots,
            retries=self.spec.resources.retries,
            score_test=phase == "confirm",
        )

    def _progress(self, phase: Phase, total: int) -> Progress:
        return Progress(
            self.console, self.spec, self.journal, phase, total, self.engine.slots.concurrent, self.source.title
        )

    def _tags(self) -> dict[str, str]:
        tags = {
            "search.id": self.folder.id,
            "mlflow.source.name": self.spec.source,
            "mlflow.source.type": "LOCAL",
            "search.spec_hash": self.spec.hash,
            "data": self.source.title,
            "data.fingerprint": self.data.fingerprint,
            "device": self.engine.slots.devices,
        }
        if self.source.substitute_for:
            tags["data.substitute_for"] = self.source.substitute_for
        return tags


def experiment(spec: Spec, source: DataSource) -> str:
    """The MLflow experiment: the spec's name; runs on a substitute have one of their own."""
    return f"{spec.name}-SUBSTITUTE-{source.name}" if source.substitute_for else spec.name


def _found(spec: Spec, options: argparse.Namespace, console: Console) -> tuple[DataSource, ImageData]:
    """The data, once the tracking and the storage have been checked too; a server that may be away is told of.

    Raises:
        UserError: all that is wrong.
    """
    problems: list[Problem] = []
    uri = tracking_server.resolve_uri(spec.tracking.uri)
    try:
        tracking_server.check(uri)
    except TrackingUnreachable as error:
        if spec.tracking.required or not tracking_server.is_server(uri):
            problems.append(Problem("tracking.uri", f"{uri}: {error}"))
        else:
            console.print(
                f"[yellow]{escape(redact(uri))}: {escape(error.reason)}.[/] "
                "The record is kept, and sent when the server is there: during the search, at its end, or by --resume.",
                soft_wrap=True,
            )
    if spec.storage:
        problems += _storage_problems(spec, options)
    return checks.found(spec, options.data_dir, problems)


def _storage_problems(spec: Spec, options: argparse.Namespace) -> list[Problem]:
    address = str(spec.storage)
    if options.results and not storage.is_object_store(address):
        return [Problem("--results", f"the state goes to {address}, as `storage` or SEARCH_STORAGE says: leave it out")]
    try:
        storage.check(address)
    except OSError as error:
        return [unusable(address, error)]
    return []
