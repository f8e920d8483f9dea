"""From options to a finished search, the one place where all parts meet: check, search, confirm, publish, sum up."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape

from contract import record
from contract.events import CONFIRM, SEARCH, DriverStarted, Phase
from contract.formatting import counted
from contract.locations import lasting, resolve_uri
from contract.redaction import redact
from search.backends.backend import Backend
from search.backends.in_process import InProcessBackend
from search.backends.ray_backend import RayBackend
from search.cli import dry_run, summary
from search.cli.arguments import apply_allow_code
from search.cli.context import Context, Options
from search.cli.finish import Finish
from search.cli.progress import Progress
from search.cli.signals import Interrupts
from search.errors import Problem, UserError
from search.journal.run_folder import SearchFolder, reaching, unwritable
from search.orchestration import confirmation
from search.orchestration.opening import nothing_left, open_study
from search.orchestration.phases import Phases
from search.orchestration.proposers import ListProposer, StudyProposer
from search.orchestration.session import Session, deadline
from search.orchestration.session_config import SessionConfig
from search.preflight import checks, models
from search.preflight.checks import Checked
from search.spec.loader import load
from search.spec.spec import Spec
from search.storage import address
from search.study.asha import Asha
from search.tracking import description, provenance
from search.tracking.tracker import Tracker

INTERRUPTED = 130
"""Exit code."""


def launch(options: Options, console: Console) -> int:
    """Do what the command line says; the exit code.

    Raises:
        UserError: a mistake in the spec, the data, the tracking, the resources or the search to resume.
    """
    apply_allow_code(options.allow_code)
    spec = load(options.spec, options.set)

    def warn_of_tracking(why: str) -> None:
        console.print(
            f"[yellow]{escape(redact(why))}.[/] "
            "The record is kept, and sent when the server is there: during the search, at its end, or by --resume.",
            soft_wrap=True,
        )

    checked = checks.check(spec, options.data_dir, options.results, warn_of_tracking)
    if checked.source.substitute_for:
        console.print(summary.substitute_warning(checked.source))
    with _backend(spec, checked, options) as backend:
        if options.dry_run:
            dry_run.show(console, spec, checked.source, checked.data, backend.describe())
            return 0
        if options.resume and spec.storage and address.is_object_store(spec.storage):
            console.print("[dim]Looking whether another machine still runs the search: this takes seconds.[/]")
        folder = SearchFolder.open(_results(spec, options), spec, checked.source, checked.data, options.resume)
        return _Launch(Context(spec, checked.source, checked.data, folder, console, options), backend).run()


def _backend(spec: Spec, checked: Checked, options: Options) -> Backend:
    def check() -> list[Problem]:
        return models.problems(spec, checked.data)

    if options.in_process:
        return InProcessBackend(spec, check)
    return RayBackend(spec, checked.source, _shared(spec, options), options.address, check)


def _shared(spec: Spec, options: Options) -> str | None:
    """Where the search's state goes as other machines know it, None where it is of this machine alone."""
    return spec.storage or (str(options.results.absolute()) if options.results else None)


def _results(spec: Spec, options: Options) -> Path:
    """The folder of all searches, as this machine knows it."""
    if spec.storage and not address.is_object_store(spec.storage):
        return address.folder(spec.storage)
    return options.results or lasting("results")


class _Launch:
    """One launch of a search that has been checked."""

    def __init__(self, context: Context, backend: Backend):
        """Take the search, and what runs its trials."""
        self.context, self.backend = context, backend
        self.spec, self.journal, self.folder = context.spec, context.journal, context.folder
        self.trained_on = context.source
        """The data set as workers load it."""

    def run(self) -> int:
        """Search, confirm and finish; the exit code."""
        self._introduce()
        self._copy_data()
        tracker = self._track()
        with Interrupts() as interrupted:
            phases, broken = self._run_phases(interrupted)
        finished = not interrupted() and not broken and not phases.halted
        self._fetch_checkpoints()
        summary.show(self.context)
        if broken:
            self.context.say(f"The search broke off: {broken}", "red")
        if phases.halted:
            self.context.say(f"The search was ended: {phases.halted}", "red")
        Finish(self.context, tracker).close(finished)
        self._close()
        if interrupted() or phases.halted:
            return INTERRUPTED
        return 0 if finished and any(r.epochs for r in self.journal.records.values()) else 1

    def _introduce(self) -> None:
        context, state = self.context, self.folder.mirror or self.folder.path
        context.console.print(
            f"[bold]{self.spec.name}[/] on {context.source.title}: up to "
            f"{counted(self.spec.trials, 'trial')} of up to {counted(self.spec.scheduler.max_epochs, 'epoch')}, "
            f"{self.backend.describe()}",
            soft_wrap=True,
        )
        context.say(
            f"state in {redact(str(state))}, runs in {redact(resolve_uri(self.spec.tracking.uri))} under experiment "
            f"{context.experiment}; Ctrl-C ends it cleanly",
            "dim",
        )

    def _copy_data(self) -> None:
        """Bring the images to where the workers of a cluster find them."""
        if not self.backend.joined or (shared := _shared(self.spec, self.context.options)) is None:
            return
        source = self.context.source
        with reaching(shared), self.context.console.status(f"copying {source.title} to {escape(redact(shared))}"):
            self.trained_on = source.copied(self.context.data, shared)

    def _track(self) -> Tracker:
        """Write down that a driver has started, open the study, and begin to send the journal.

        Raises:
            UserError: the search's folder cannot be written to.
        """
        try:
            resources = self.backend.describe()
            self.journal.append(
                DriverStarted(
                    resources=resources,
                    concurrent=self.backend.slots.concurrent,
                    command_time=psutil.Process().create_time(),
                )
            )
            self.journal.interrupt_unfinished()
            self.searcher = open_study(
                self.spec, self.journal, self.folder.files.study, self.context.say, self.context.warn
            )
            described = description.describe(self.spec, self.context.source, self.context.data, resources)
            description.write(described, self.folder.files.description)
        except OSError as error:
            raise UserError([unwritable(self.folder.path, error)]) from error
        return Tracker(
            self.journal.path,
            resolve_uri(self.spec.tracking.uri),
            self.context.experiment,
            {**provenance.describe(), **self._tags()},
            first_metric=self.spec.objective.metric,
            artifacts=(self.folder.files.spec, self.folder.files.description),
        )

    def _run_phases(self, interrupted: Interrupts) -> tuple[Phases, str]:
        """Run all trials; the phases as they ended, and what broke them off, if anything."""
        phases, broken = Phases(self._sessions()), ""
        try:
            if phases.exhausted:
                self.context.say(nothing_left(self.spec, self.journal))
            else:
                self.backend.run(phases, interrupted, self.context.warn)
        except Exception as error:  # Ray can end with many; what was trained is in the journal
            broken = redact(f"{type(error).__name__}: {error}")
        finally:
            phases.close()
        return phases, broken

    def _fetch_checkpoints(self) -> None:
        try:
            self.folder.fetch_checkpoints()
        except OSError as error:
            self.context.warn(f"The checkpoints could not be fetched from {self.folder.mirror}: {error}.")

    def _close(self) -> None:
        self.journal.close()
        mirror = self.folder.mirror
        if mirror is not None and not mirror.close():
            self.context.warn(
                f"Not all of the state reached {mirror} ({mirror.error}): it is whole in {self.folder.path}, for "
                "--resume there."
            )

    def _sessions(self) -> Generator[Session, None, None]:
        """The search, then its confirmation, each with its view of the progress."""
        scheduler = self.spec.scheduler
        asha = Asha(scheduler.rungs, scheduler.reduction_factor, self.spec.objective.maximize)
        out_of_time = deadline(self.journal, self.spec.budget.hours)
        proposer = StudyProposer(self.searcher)
        session = Session(self._config(SEARCH, self.spec.kept), self.journal, proposer, asha, out_of_time)
        left_out = sum(r.outside for r in self.journal.trials(SEARCH))
        with contextlib.closing(proposer), self._progress(SEARCH, self.spec.trials + left_out):
            yield session
        if session.hopeless:
            self.context.say("The first trials all failed before their first epoch: no more are started.", "red")
        proposals = confirmation.proposals(self.spec, self.journal)
        confirming = ListProposer(proposals, self.journal)
        session = Session(self._config(CONFIRM, len(proposals)), self.journal, confirming, Asha(()))
        with self._progress(CONFIRM, len(proposals)):
            yield session

    def _config(self, phase: Phase, keep: int) -> SessionConfig:
        return SessionConfig(
            phase=phase,
            metric=self.spec.objective.metric,
            maximize=self.spec.objective.maximize,
            data=self.trained_on,
            classes=len(self.context.data.classes),
            folder=self.folder.path,
            mirror=self.folder.mirror,
            keep=keep,
            checkpoint_bytes=self.spec.budget.checkpoint_bytes,
            slots=self.backend.slots,
            retries=self.spec.resources.retries,
            score_test=phase == CONFIRM,
        )

    def _progress(self, phase: Phase, total: int) -> Progress:
        return Progress(self.context, phase, total, self.backend.slots.concurrent)

    def _tags(self) -> dict[str, str]:
        source = self.context.source
        tags = {
            record.SEARCH_ID: self.folder.id,
            record.SOURCE: self.spec.source,
            record.SOURCE_TYPE: "LOCAL",
            record.SPEC_HASH: self.spec.hash,
            record.DATA: source.title,
            record.FINGERPRINT: self.context.data.fingerprint,
            record.DEVICE: self.backend.slots.devices,
        }
        return tags | ({record.SUBSTITUTE_FOR: source.substitute_for} if source.substitute_for else {})
