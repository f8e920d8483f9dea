"""Everything outside of a spec that what it says depends on: the data, and the models on it."""

from pathlib import Path

from search import dataset, model_check
from search.dataset import DataSource
from search.errors import Problem, UserError
from search.spec import Spec
from trainables.data import DataError, ImageData


def found(spec: Spec, root: Path, problems: list[Problem]) -> tuple[DataSource, ImageData]:
    """The data set of a spec. Its models are left to be checked on it, which takes torch and its seconds.

    Args:
        root: where data sets are.
        problems: what has been found so far; it is reported with the rest.

    Raises:
        UserError: all that is wrong, with the models too.
    """
    try:
        source, data = dataset.find(spec.data, root)
    except DataError as error:
        raise UserError([*problems, Problem("data", str(error))], spec.source, spec.lines) from error
    wrong = [*problems, *dataset.problems(spec, source, data)]
    if wrong:
        raise UserError([*wrong, *model_check.problems(spec, data)], spec.source, spec.lines)
    return source, data
