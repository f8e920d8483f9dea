"""The samplers by name, and what each cannot search."""

from search.errors import Problem
from search.spec.space import Space

NAMES = ("cmaes", "gp", "grid", "random", "tpe")


def problems(name: str, space: Space) -> list[Problem]:
    """What the sampler cannot search in this space."""
    found: list[Problem] = []
    grid = [p.key for p in space.parameters if p.kind == "grid"]
    if name == "grid":
        endless = [p for p in space.parameters if p.values is None]
        found += [
            Problem(
                f"space.{p.key}.{p.kind}",
                "the grid sampler needs values that can be counted: use grid, choice or int, or another sampler",
            )
            for p in endless
        ]
        if not space.too_many and space.too_many_products:
            found.append(Problem("space", space.too_many_products))
        if not space.parameters:
            found.append(
                Problem("sampler.name", "the grid sampler has nothing to cross: give a key of the space a grid")
            )
    elif name == "cmaes":
        found += [
            Problem(
                f"space.{key}.grid",
                "cmaes cannot be crossed with a grid, it learns from its own proposals only: use tpe, random or gp",
            )
            for key in grid
        ]
        conditional = [p.key for p in space.parameters if p.when]
        found += [
            Problem(f"space.{key}.when", "cmaes cannot search conditional keys: use tpe, random or gp")
            for key in conditional
        ]
        if not any(p.kind in ("uniform", "loguniform", "int", "logint") for p in space.parameters):
            found.append(Problem("sampler.name", "cmaes needs at least one numeric range: use tpe or random"))
    return found
