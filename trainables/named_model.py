"""A network by its name: a file of `trainables/models/`, a classifier of a library, or the user's own code.

A library's classifier is named as in `timm/convnext_tiny`, own code by a dotted path (`mynets.wide`).

torch is imported when a network is built: a network's options, which are enough to check a spec, are read without it,
so that mistakes are reported at once.
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
"""A function `build(input_shape, num_classes, *, options...)`."""


def builder(name: str) -> Builder:
    """Find the function that builds a network; its keyword-only arguments are the network's options.

    Raises:
        UnknownName: there is no such file, library or classifier in it; or own code is not allowed or no network.
    """
    if own_code.is_dotted(name):
        return own_code.function(name, "build", 2)
    library, slash, classifier = name.partition("/")
    if not slash:
        found: Builder = module_folder.module(trainables.models, name).build
        return found
    module = module_folder.module(trainables.libraries, library)
    module.check(classifier)
    return partial(module.build, classifier)


def option_names(name: str) -> list[str]:
    """List the options of a network.

    Raises:
        UnknownName: there is no such file, library or classifier in it; or own code is not allowed or no network.
    """
    if "/" not in name and not own_code.is_dotted(name):
        written = _written_options(module_folder.file(trainables.models, name).read_text())
        if written is not None:
            return written
    parameters = inspect.signature(builder(name)).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def build(name: str, input_shape: tuple[int, int, int], num_classes: int, options: Mapping[str, Any]) -> "nn.Module":
    """Build a network with random or downloaded weights.

    Args:
        name: the name of the network.
        input_shape: (channels, height, width).
        num_classes: outputs of the network.
        options: keyword arguments of its `build`.

    Raises:
        ModelError: it refuses its options or the size of the images, or its weights are not there.
        UnknownName: no network has that name.
    """
    from torch import nn

    make = builder(name)
    _check_options(name, make, input_shape, num_classes, options)
    try:
        built = make(input_shape, num_classes, **options)
    except ModelError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:  # raised by torch for an impossible value
        text = own_code.describe_error(error) if own_code.is_dotted(name) else first_line(error)
        raise ModelError(f"{text} ({name})") from error
    except Exception as error:
        if not own_code.is_dotted(name):
            raise
        raise ModelError(f"{own_code.describe_error(error)} ({name})") from error
    if not isinstance(built, nn.Module):
        raise ModelError(f"{name} returned {type(built).__name__}, not a torch.nn.Module")
    return built


def _written_options(source: str) -> list[str] | None:
    """Read the options of the `build` in a file; None where `build` is made by a call (`build = partial(...)`)."""
    builds = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "build")
    return next(([option.arg for option in build.args.kwonlyargs] for build in builds), None)


def _check_options(
    name: str, make: Builder, input_shape: tuple[int, int, int], num_classes: int, options: Mapping[str, Any]
) -> None:
    """Refuse options that the network does not have, or whose type is another than that of the parameter."""
    signature = inspect.signature(make)
    try:
        signature.bind(input_shape, num_classes, **options)
    except TypeError as error:
        raise ModelError(f"{name}: {error}") from error
    for key, value in options.items():
        kind = signature.parameters[key].annotation
        if kind in KINDS and (text := kind_problem(kind, value)):
            raise ModelError(f"{key} {text}")
