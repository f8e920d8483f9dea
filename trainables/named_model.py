"""A network by its name: a file of `trainables/models/`, any classifier of a library (`timm/convnext_tiny`), or the
user's own code by a dotted path (`mynets.wide`).

torch is imported when a network is built: to read a spec its options are enough, and mistakes in it are told at once.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import trainables.libraries
import trainables.models
from contract.formatting import first_line
from trainables import module_folder, own_code
from trainables.config import KINDS, kind_problem
from trainables.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[..., "nn.Module"]
"""`build(input_shape, num_classes, *, options...)`"""


def builder(name: str) -> Builder:
    """The function that builds the network; its keyword-only arguments are the network's options.

    Raises:
        UnknownName: no such file, library or classifier in it; or own code is not allowed or no network.
    """
    if own_code.is_dotted(name):
        return own_code.function(name, "build", 2)
    library, slash, classifier = name.partition("/")
    if not slash:
        return module_folder.module(trainables.models, name).build
    module = module_folder.module(trainables.libraries, library)
    module.check(classifier)
    return partial(module.build, classifier)


def option_names(name: str) -> list[str]:
    """The options of a network.

    Raises:
        UnknownName: likewise.
    """
    if "/" not in name and not own_code.is_dotted(name):
        written = _written_options(module_folder.file(trainables.models, name).read_text())
        if written is not None:
            return written
    parameters = inspect.signature(builder(name)).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _written_options(source: str) -> list[str] | None:
    """The options of the `build` in a file, None where it is made by a call (`build = partial(...)`)."""
    builds = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "build")
    return next(([option.arg for option in build.args.kwonlyargs] for build in builds), None)


def build(name: str, input_shape: tuple[int, int, int], num_classes: int, options: Mapping[str, Any]) -> "nn.Module":
    """The network with fresh or downloaded weights.

    Args:
        input_shape: (channels, height, width).

    Raises:
        ModelError: it refuses its options or the size of the images, or its weights cannot be had.
        UnknownName: no such network.
    """
    from torch import nn

    make = builder(name)
    signature = inspect.signature(make)
    try:
        signature.bind(input_shape, num_classes, **options)
    except TypeError as error:
        raise ModelError(f"{name}: {error}") from error
    for key, value in options.items():
        kind = signature.parameters[key].annotation
        if kind in KINDS and (text := kind_problem(kind, value)):
            raise ModelError(f"{key} {text}")
    try:
        built = make(input_shape, num_classes, **options)
    except ModelError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:  # torch's, of a value that cannot be
        text = own_code.describe_error(error) if own_code.is_dotted(name) else first_line(error)
        raise ModelError(f"{text} ({name})") from error
    except Exception as error:
        if not own_code.is_dotted(name):
            raise
        raise ModelError(f"{own_code.describe_error(error)} ({name})") from error
    if not isinstance(built, nn.Module):
        raise ModelError(f"{name} gave {type(built).__name__}, not a torch.nn.Module")
    return built
