"""What is wrong with keys of a spec that are right by themselves: unknown, contradictory or ineffective settings."""

import inspect
import math

from contract.formatting import nearest
from search.errors import Problem
from search.spec import sampler_rules, space
from search.spec.schema import BudgetSpec, DataSpec, SamplerSpec, SchedulerSpec, Section
from search.spec.space import Space
from trainables import module_folder, named_dataset, named_model
from trainables.config import FIELDS, applies, problem


def space_problems(parsed: Space) -> list[Problem]:
    """Unknown keys, values that no trial can take, and settings that would have no effect."""
    problems: list[Problem] = []
    options = _model_options(parsed, problems)
    values = {**{k: (v,) for k, v in parsed.constants.items()}, **{p.key: p.extremes for p in parsed.parameters}}
    for key, possible in values.items():
        if key == "model":
            continue
        if key in FIELDS:
            problems += [
                Problem(f"space.{key}", text)
                for text in dict.fromkeys(filter(None, (problem(key, v) for v in possible)))
            ]
        elif key not in options:
            known = [*FIELDS, *sorted(options)]
            problems.append(
                Problem(f"space.{key}", f"unknown hyperparameter{nearest(key, known)}; there is: {', '.join(known)}")
            )
        elif odd := [v for v in possible if isinstance(v, float) and not math.isfinite(v)]:
            problems.append(Problem(f"space.{key}", f"must be finite, not {odd[0]!r}"))
    problems += [Problem("space", parsed.grid_too_large)] if parsed.grid_too_large else []
    problems += [p for parameter in parsed.parameters if (p := _no_effect(parameter, parsed, options))]
    return problems


def _model_options(parsed: Space, problems: list[Problem]) -> dict[str, set[str]]:
    """The keyword arguments of the models' `build` functions, each with the models that take it."""
    options: dict[str, set[str]] = {}
    for model in parsed.possible("model"):
        if not isinstance(model, str):
            problems.append(Problem("space.model", f"must be a name, not {model!r}"))
            continue
        try:
            for name in named_model.option_names(model):
                options.setdefault(name, set()).add(model)
        except module_folder.UnknownName as error:
            problems.append(Problem("space.model", str(error)))
    return options


def _no_effect(parameter: space.Parameter, parsed: Space, options: dict[str, set[str]]) -> Problem | None:
    """Refuse a searched key that some trials would ignore, since the search would take noise for its effect.

    Rows that somebody wrote out (`Space.joint`) are not searched.
    """
    if any(parameter.key in joint.keys for joint in parsed.joint):
        return None
    needs = dict(FIELDS[parameter.key].metadata["when"]) if parameter.key in FIELDS else {}
    if parameter.key in options and set(parsed.possible("model")) - options[parameter.key]:
        needs["model"] = tuple(sorted(options[parameter.key]))
    for key, allowed in needs.items():
        possible = parameter.when.get(key) or parsed.possible(key)
        if not all(applies(value, allowed) for value in possible):
            fits = [value for value in possible if applies(value, allowed)] or list(allowed)
            listed = fits[0] if len(fits) == 1 else fits
            return Problem(
                f"space.{parameter.key}",
                f"has an effect only where {key} is {' or '.join(map(str, fits))}: add when: {{{key}: {listed}}}",
            )
    return None


def cross_problems(sections: dict[str, Section | None], parsed: Space, epochs_given: bool) -> list[Problem]:
    """Contradictions between sections that are right by themselves."""
    problems: list[Problem] = []
    sampler, budget, scheduler, data = (sections[name] for name in ("sampler", "budget", "scheduler", "data"))
    if isinstance(sampler, SamplerSpec):
        problems += sampler_rules.problems(sampler.name, parsed)
        needs_budget = sampler.name != "grid" and parsed.sampled
        if isinstance(budget, BudgetSpec) and budget.trials is None and needs_budget:
            problems.append(
                Problem("budget.trials", f"is missing: {sampler.name} needs to know how many trials to make")
            )
    if isinstance(scheduler, SchedulerSpec) and epochs_given:
        longest = max((v for v in parsed.possible("epochs") if isinstance(v, int)), default=0)
        if longest > scheduler.max_epochs:
            problems.append(
                Problem(
                    "space.epochs", f"reaches {longest}, above scheduler.max_epochs {scheduler.max_epochs}: raise that"
                )
            )
    if isinstance(data, DataSpec):
        problems += _data_problems(data)
    return problems


def _data_problems(data: DataSpec) -> list[Problem]:
    """Options that the data set does not take, or that it needs and is not given."""
    given = data.load_options
    taken, needed = _load_options(data.name)
    problems = [
        Problem(
            f"data.options.{key}" if key in data.options else f"data.{key}", f"{data.name} does not take it: remove it"
        )
        for key in given
        if key not in taken
    ]
    problems += [Problem(f"data.{key}", f"is missing: {data.name} needs it") for key in needed if key not in given]
    if data.offline_substitute and (lacks := _load_options(data.offline_substitute)[1]):
        problems.append(
            Problem("data.offline_substitute", f"{data.offline_substitute} cannot stand in: it needs data.{lacks[0]}")
        )
    return problems


def _load_options(name: str) -> tuple[list[str], list[str]]:
    """The keyword arguments of a data set's `load` function, and those of them that have no default."""
    parameters = inspect.signature(named_dataset.loader(name)).parameters.values()
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [p.name for p in keywords], [p.name for p in keywords if p.default is p.empty]
