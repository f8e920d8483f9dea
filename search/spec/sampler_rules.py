"""The names of the samplers, and what each of them cannot search."""

from search.errors import Problem
from search.spec.space import RANGES, Space

NAMES = ("cmaes", "gp", "grid", "random", "tpe")


def problems(name: str, space: Space) -> list[Problem]:
    """What a sampler cannot search in a space, by the sampler's name."""
    if name == "grid":
        return _grid_problems(space)
    return _cmaes_problems(space) if name == "cmaes" else []


def _grid_problems(space: Space) -> list[Problem]:
    found = [
        Problem(
            f"space.{p.key}.{p.kind}",
            "the grid sampler needs values that can be counted: use grid, choice or int, or another sampler",
        )
        for p in space.parameters
        if p.values is None
    ]
    if not space.grid_too_large and space.product_too_large:
        found.append(Problem("space", space.product_too_large))
    if not space.parameters:
        found.append(Problem("sampler.name", "the grid sampler has nothing to cross: give a key of the space a grid"))
    return found


def _cmaes_problems(space: Space) -> list[Problem]:
    found = [
        Problem(
            f"space.{p.key}.grid",
            "cmaes cannot be crossed with a grid, since it learns only from its own proposals: use tpe, random or gp",
        )
        for p in space.parameters
        if p.kind == "grid"
    ]
    found += [
        Problem(f"space.{p.key}.when", "cmaes cannot search conditional keys: use tpe, random or gp")
        for p in space.parameters
        if p.when
    ]
    if not any(p.kind in RANGES for p in space.parameters):
        found.append(Problem("sampler.name", "cmaes needs at least one numeric range: use tpe or random"))
    return found
