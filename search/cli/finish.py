"""The end of a launch: the record is sent, the report is made, and the next commands are shown."""

import shlex
from pathlib import Path

from rich.markup import escape

from contract.locations import DATABASE, SQLITE, in_job, is_server, lasting, resolve_uri
from contract.outcomes import MLFLOW_STATUS, Outcome
from contract.redaction import redact
from search.cli.context import Context, Options
from search.journal.run_folder import SearchFolder
from search.tracking.tracker import Tracker

TRACKING_PATIENCE_S = 60.0
"""Seconds without progress after which the end of a search gives up on the tracking server."""


class Finish:
    """What follows when no trial will start any more."""

    def __init__(self, context: Context, tracker: Tracker):
        """Do nothing yet.

        Args:
            context: the search.
            tracker: what sends its record.
        """
        self.context, self.tracker = context, tracker
        self.folder, self.console, self.options = context.folder, context.console, context.options

    def close(self, finished: bool) -> None:
        """Send the record, make the report, and show what to do next.

        Args:
            finished: whether all was trained.
        """
        sent = self._publish(MLFLOW_STATUS[Outcome.COMPLETED if finished else Outcome.INTERRUPTED])
        page = self._report() if sent else None
        self.console.print()
        for what, command in commands(self.options, self.folder, self.tracker.uri, finished and sent, finished, page):
            self.console.print(f"  {what:<18} [bold]{escape(command)}[/]", soft_wrap=True)

    def _publish(self, status: str) -> bool:
        """Send what is left.

        Args:
            status: MLflow's status of the search's own run.

        Returns:
            Whether all has been sent.
        """
        from search.tracking.publication import publish

        try:
            self._drain()
            publish(
                self.tracker, self.context.spec, self.folder.journal, self.context.source, self.folder.files, status
            )
        except KeyboardInterrupt:
            self._not_sent("Ctrl-C")
        except Exception as error:  # whatever a server can answer with; the search's result must still be shown
            self._not_sent(redact(str(error)))
        else:
            return True
        return False

    def _drain(self) -> None:
        """Send what is left, for as long as some of it gets through.

        Raises:
            ConnectionError: not all got through.
        """
        with self.console.status("sending the record") as status:

            def show(left: int) -> None:
                why = f", {escape(self.tracker.error)}" if self.tracker.error else ""
                status.update(f"sending the record: {left:,} events left{why}; Ctrl-C leaves them for --resume")

            if not self.tracker.close(TRACKING_PATIENCE_S, show):
                raise ConnectionError(self.tracker.error or f"it has not answered for {TRACKING_PATIENCE_S:.0f} s")

    def _not_sent(self, why: str) -> None:
        left_out = ["the model is not registered"] if self.context.spec.tracking.register_as else []
        left_out += ["the report is not made"] if self.options.report else []
        until = f" Until then {' and '.join(left_out)}." if left_out else ""
        self.console.print(
            f"[red]Not all was sent to the tracking server: {escape(why)}.[/] "
            f"It is kept in {escape(str(self.folder.path))}, and sent by --resume.{until}",
            soft_wrap=True,
        )

    def _report(self) -> Path | None:
        """Make the report; its page, if there is anything to report."""
        if not self.options.report or not any(r.epochs for r in self.folder.journal.records.values()):
            return None
        from search.tracking.publication import attach_report

        try:
            with self.console.status("making the report"):
                return attach_report(self.tracker, self.folder, self.options.data_dir)
        except Exception as error:  # a plot, a model or the server may fail: the search's result is there all the same
            self.console.print(
                f"[red]The report could not be made: {escape(redact(str(error)))}.[/] "
                f"To try again: python -m analysis.report {self.folder.id}"
            )
            return None


def commands(
    options: Options, folder: SearchFolder, uri: str, done: bool, finished: bool, page: Path | None
) -> list[tuple[str, str]]:
    """What can be done next, and the command for it, to be pasted into a shell.

    Args:
        options: those of this launch.
        folder: the search's folder.
        uri: the address of MLflow's record.
        done: whether all was trained and sent.
        finished: whether all was trained.
        page: the report's page, if there is one.
    """
    resume = [("send the record" if finished else "continue", resume_command(options, folder.id))]
    report = [("read the report", shlex.quote(str(page)))] if page is not None else []
    return [
        *([] if done else resume),
        *report,
        ("compare the runs", _ui_command(uri)),
        ("see the study", shlex.join(["optuna-dashboard", str(folder.files.study)])),
    ]


def _ui_command(uri: str) -> str:
    if uri == resolve_uri(f"{SQLITE}{DATABASE}"):
        return "mlflow ui"  # looks for that file in this folder
    if is_server(uri):
        return redact(uri)
    return shlex.join(["mlflow", "ui", "--backend-store-uri", uri])


def resume_command(options: Options, id: str) -> str:
    """The command that continues a search, without the passwords in it."""
    spec = str(options.spec)
    parts = ["ray", "job", "submit", "--working-dir", ".", "--"] if in_job() else []
    parts += ["python", "-m", "search.run", f"./{spec}" if spec.startswith("-") else spec]
    for override in map(redact, options.set):
        parts += [f"--set={override}"] if override.startswith("-") else ["--set", override]
    for flag, value in (("--results", options.results), ("--address", options.address)):
        parts += [flag, str(value)] if value is not None else []
    parts += ["--data-dir", str(options.data_dir)] if options.data_dir != lasting("data") else []
    parts += ["--allow-code"] if options.allow_code else []
    parts += ["--in-process"] if options.in_process else []
    parts += [] if options.report else ["--no-report"]
    return shlex.join([*parts, "--resume", id])
