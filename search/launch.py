"""From options to a finished search: check everything, then search, confirm, publish, sum up."""

import argparse
import shlex
from collections.abc import Generator
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape

from search import confirm, description, dry_run, provenance, summary, tracking
from search.checks import checked
from search.command_line import heed_allow_code
from search.dataset import DataSource
from search.engine import Engine
from search.errors import Problem
from search.folders import SPEC, SearchFolder
from search.interrupts import Interrupts
from search.journal import Phase
from search.progress import Progress
from search.proposers import ListProposer, StudyProposer
from search.schedulers import Asha
from search.searcher import StudySearcher
from search.session import Phases, Session, Setting, deadline
from search.spec import Spec, load
from search.tracking import Tracker, TrackingUnreachable
from trainables.data import ImageData

PATIENCE = 60.0
"""Seconds that the end of a search waits for the tracking server."""


def launch(options: argparse.Namespace, console: Console) -> int:
    """Do what the command line says; the exit code.

    Raises:
        UserError: a mistake in the spec, the data, the tracking, the resources or the search to resume.
    """
    heed_allow_code(options)
    spec = load(options.spec, tuple(options.set))
    source, data = _checked(spec, options)
    if source.substitute_for:
        console.print(summary.substitute_warning(source))
    with Engine(spec, source, options) as engine:
        if options.dry_run:
            dry_run.show(console, spec, source, data, engine.describe())
            return 0
        folder = SearchFolder.open(options.results, spec, source, data, options.resume)
        return _Launch(spec, source, data, folder, engine, console, options).run()


class _Launch:
    """One launch of a search that has been checked."""

    def __init__(
        self, spec: Spec, source: DataSource, data: ImageData, folder: SearchFolder,
        engine: Engine, console: Console, options: argparse.Namespace,
    ):  # fmt: skip
        self.spec, self.source, self.data, self.folder = spec, source, data, folder
        self.engine, self.console, self.options = engine, console, options
        self.journal = folder.journal

    def run(self) -> int:
        spec, journal = self.spec, self.journal
        uri = tracking.resolve_uri(spec.tracking.uri)
        tags = {**provenance.describe(), **self._tags()}
        self.console.print(
            f"[bold]{spec.name}[/] on {self.source.title}: up to {spec.trials} trials "
            f"of up to {spec.scheduler.max_epochs} epochs, {self.engine.describe()}"
        )
        self.console.print(
            f"[dim]state in {escape(str(self.folder.path))}, runs in {escape(uri)} under experiment "
            f"{experiment(spec, self.source)}; Ctrl-C ends it cleanly[/]",
            soft_wrap=True,
        )
        began = psutil.Process().create_time()
        journal.append("launch", on=self.engine.describe(), concurrent=self.engine.concurrent, command=began)
        described = description.describe(spec, self.source, self.data, self.engine.describe())
        tracker = Tracker(
            journal.path,
            uri,
            experiment(spec, self.source),
            tags,
            first_metric=spec.objective.metric,
            artifacts=(self.folder.path / SPEC, description.write(described, self.folder.path)),
        )
        broken = None
        with Interrupts() as interrupted:
            phases = Phases(self._sessions())
            if phases.exhausted:
                self.console.print(self._nothing_left())
            try:
                if not phases.exhausted:
                    self.engine.run(phases, interrupted)
            except Exception as error:  # Ray's engine can end with many; what was trained is in the journal
                broken = f"{type(error).__name__}: {error}"
            finally:
                phases.close()
        finished = not interrupted() and not broken
        summary.show(self.console, spec, journal, self.source)
        if broken:
            self.console.print(f"[red]The search broke off: {escape(broken)}[/]")
        sent = self._publish(tracker, "FINISHED" if finished else "KILLED")
        self._commands(uri, finished, self._report(tracker) if sent else None)
        journal.close()
        if interrupted():
            return 130
        return 0 if finished and any(r.epochs for r in journal.records.values()) else 1

    def _nothing_left(self) -> str:
        if len(self.journal.of("search")) >= self.spec.trials:
            return "Nothing is left to do: all trials have ended. To add some, raise budget.trials."
        if self.spec.budget.hours is not None:
            return "Nothing was started: budget.hours is used up. To go on, raise it."
        return "Nothing was started: the first trials all failed. Mend what they failed of, and start a new search."

    def _sessions(self) -> Generator[Session, None, None]:
        """The search, then its confirmation, each with its view of the progress."""
        searcher = StudySearcher(self.spec, self.folder.study)
        searcher.reconcile(self.journal.of("search"))
        asha = Asha(description.rungs(self.spec), self.spec.scheduler.reduction_factor, self.spec.objective.maximize)
        out_of_time = deadline(self.journal, self.spec.budget.hours)
        session = Session(
            self._setting("search", self.spec.kept), self.journal, StudyProposer(searcher), asha, out_of_time
        )
        with self._progress("search", self.spec.trials):
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
            data=self.source,
            folder=self.folder.path,
            keep=keep,
            threads=self.spec.resources.cpu,
            concurrent=self.engine.concurrent,
            device=self.engine.device,
            score_test=phase == "confirm",
        )

    def _progress(self, phase: Phase, total: int) -> Progress:
        return Progress(self.console, self.spec, self.journal, phase, total, self.engine.concurrent, self.source.title)

    def _publish(self, tracker: Tracker, status: str) -> bool:
        """Send what is left; whether all has been sent."""
        from search.publish import publish

        sent = tracker.close(PATIENCE)
        try:
            if not sent:
                raise ConnectionError(tracker.error or "it is too slow")
            publish(tracker, self.spec, self.journal, self.source, self.folder.path, status)
        except Exception as error:  # whatever a server can answer with; the search's result must still be shown
            self.console.print(
                f"[red]Not all was sent to the tracking server: {escape(str(error))}.[/] "
                "It is kept, and sent by --resume."
            )
            return False
        return True

    def _report(self, tracker: Tracker) -> Path | None:
        """The report's page, if there is something to report."""
        if not self.options.report or not any(r.epochs for r in self.journal.records.values()):
            return None
        from search.publish import attach_report

        try:
            with self.console.status("making the report"):
                return attach_report(tracker, self.folder, self.options.data_dir)
        except Exception as error:  # of a plot, a model or the server: the search's result is there all the same
            self.console.print(
                f"[red]The report could not be made: {escape(str(error))}.[/] "
                f"To try again: python -m analysis.report {self.folder.id}"
            )
            return None

    def _commands(self, uri: str, finished: bool, page: Path | None) -> None:
        def print_command(what: str, command: str) -> None:
            self.console.print(f"  {what:<18} [bold]{escape(command)}[/]", soft_wrap=True)

        self.console.print()
        if not finished:
            print_command("go on with it", resume_command(self.options, self.folder.id))
        if page is not None:
            print_command("read the report", shlex.quote(str(page)))
        print_command("compare the runs", _ui_command(uri))
        print_command("see the study", shlex.join(["optuna-dashboard", str(self.folder.study)]))

    def _tags(self) -> dict[str, str]:
        tags = {
            "search.id": self.folder.id,
            "mlflow.source.name": self.spec.source,
            "mlflow.source.type": "LOCAL",
            "search.spec_hash": self.spec.hash,
            "data": self.source.title,
            "data.fingerprint": self.data.fingerprint,
            "device": self.engine.device,
        }
        if self.source.substitute_for:
            tags["data.substitute_for"] = self.source.substitute_for
        return tags


def experiment(spec: Spec, source: DataSource) -> str:
    """The MLflow experiment: the spec's name; runs on a substitute have one of their own."""
    return f"{spec.name}-SUBSTITUTE-{source.name}" if source.substitute_for else spec.name


def _ui_command(uri: str) -> str:
    if uri == tracking.resolve_uri(tracking.DEFAULT_URI):
        return "mlflow ui"  # looks for that file in this folder
    return shlex.join(["mlflow", "ui", "--backend-store-uri", uri]) if uri.startswith(tracking.SQLITE) else uri


def resume_command(options: argparse.Namespace, id: str) -> str:
    """The command that goes on with a search."""
    spec = str(options.spec)
    parts = ["python", "-m", "search.run", f"./{spec}" if spec.startswith("-") else spec]
    for override in options.set:
        parts += [f"--set={override}"] if override.startswith("-") else ["--set", override]
    for flag, value, default in (("--results", options.results, "results"), ("--address", options.address, None)):
        if value is not None and str(value) != default:
            parts += [flag, str(value)]
    parts += ["--data-dir", str(options.data_dir)] if str(options.data_dir) != "data" else []
    parts += ["--allow-code"] if options.allow_code else []
    parts += ["--in-process"] if options.in_process else []
    parts += [] if options.report else ["--no-report"]
    return shlex.join([*parts, "--resume", id])


def _checked(spec: Spec, options: argparse.Namespace) -> tuple[DataSource, ImageData]:
    """The data, once everything outside the file has been checked too.

    Raises:
        UserError: all that is wrong.
    """
    problems: list[Problem] = []
    uri = tracking.resolve_uri(spec.tracking.uri)
    try:
        tracking.check(uri)
    except TrackingUnreachable as error:
        problems.append(Problem("tracking.uri", f"{uri}: {error}: start it (mlflow server), or correct the address"))
    return checked(spec, options.data_dir, problems)
