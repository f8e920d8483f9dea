"""What a spec refers to outside of its file, checked before Ray starts: tracking, storage and data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contract.locations import is_server, resolve_uri
from search.errors import Problem, UserError
from search.journal.run_folder import unusable
from search.preflight import dataset, models, tracking
from search.preflight.tracking import TrackingUnreachable
from search.spec.spec import Spec
from search.storage import storage
from search.storage.address import is_object_store
from search.trial.data_source import DataSource
from trainables.image_data import DataError, ImageData


@dataclass(frozen=True)
class Checked:
    """What the checks have found, which a search begins with."""

    source: DataSource
    data: ImageData


def check(spec: Spec, data_dir: Path, results: Path | None, warn: Callable[[str], None]) -> Checked:
    """Check tracking, storage and data. Whether the models take the images is checked later, while Ray starts.

    Args:
        spec: the search.
        data_dir: the folder of all data sets.
        results: the folder that the command line names for the search's state.
        warn: tells the person why the record cannot be sent yet, where the spec does not require the server.

    Raises:
        UserError: all that is wrong, also with the models.
    """
    problems, warning = _tracking(spec)
    if warning:  # before what may be wrong with the data, which ends the command
        warn(warning)
    if spec.storage:
        problems += _storage(spec.storage, results)
    return Checked(*find_data(spec, data_dir, problems))


def find_data(spec: Spec, data_dir: Path, problems: list[Problem]) -> tuple[DataSource, ImageData]:
    """Find the data set of a spec.

    Args:
        spec: the search.
        data_dir: the folder of all data sets.
        problems: what has been found so far; it is reported with the rest.

    Raises:
        UserError: all that is wrong, also with the models.
    """
    try:
        source, data = dataset.find(spec.data, data_dir)
    except DataError as error:
        raise UserError([*problems, Problem("data", str(error))], spec.source, spec.lines) from error
    wrong = [*problems, *dataset.problems(spec, source, data)]
    if wrong:
        raise UserError([*wrong, *models.problems(spec, data)], spec.source, spec.lines)
    return source, data


def _tracking(spec: Spec) -> tuple[list[Problem], str]:
    """What is wrong with the tracking server, and what to warn of where the spec does not require it."""
    uri = resolve_uri(spec.tracking.uri)
    try:
        tracking.check(uri)
    except TrackingUnreachable as error:
        if spec.tracking.required or not is_server(uri):
            return [Problem("tracking.uri", f"{uri}: {error}")], ""
        return [], f"{uri}: {error.reason}"
    return [], ""


def _storage(address: str, results: Path | None) -> list[Problem]:
    if results and not is_object_store(address):
        return [
            Problem(
                "--results", f"the state goes to {address}, as `storage` or SEARCH_STORAGE says: remove this option"
            )
        ]
    try:
        storage.check(address)
    except OSError as error:
        return [unusable(address, error)]
    return []
