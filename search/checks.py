"""Everything outside of a spec that what it says depends on: the data, and the models on it."""

from pathlib import Path

from search import dataset, model_check
from search.dataset import DataSource
from search.errors import Problem, UserError
from search.spec import Spec
from trainables.data import DataError, ImageData


def checked(spec: Spec, root: Path, problems: list[Problem]) -> tuple[DataSource, ImageData]:
    """The data set of a spec, once it and the models have been found to fit.

    Args:
        root: where data sets are.
        problems: what has been found so far; it is reported with the rest.

    Raises:
        UserError: all that is wrong.
    """
    found = list(problems)
    try:
        source, data = dataset.find(spec.data, root)
        found += dataset.problems(spec, source, data) + model_check.problems(spec, data)
    except DataError as error:
        found.append(Problem("data", str(error)))
    if found:
        raise UserError(found, spec.source, spec.lines)
    return source, data
