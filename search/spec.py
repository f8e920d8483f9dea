"""A search as its YAML file says it: read, checked, every mistake reported at once."""

import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

import trainables.datasets
import trainables.models
from search import samplers, space, yaml_file
from search.errors import Problem, UserError
from search.space import Space
from trainables import folder
from trainables.config import FIELDS, applies, problem

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


class Section(BaseModel):
    """Base of all sections: fixed once read, unknown keys forbidden, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSpec(Section):
    """`data`: what is trained on, and what is set aside."""

    name: str
    folder: str | None = None
    """Of `image_folder`, under the data directory."""
    image_size: Annotated[int, Field(ge=1)] | None = None
    """Of `image_folder`: pixels a side that all pictures are resized to."""
    validation: Annotated[float, Field(gt=0, lt=1)] | Literal["test"] = 0.1
    """Part of each class set aside; `test` selects on the test set, as some publications did."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    offline_substitute: str | None = None
    """The data set to use, loudly, where the real one is not there and cannot be fetched."""

    @field_validator("name", "offline_substitute")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return name if name is None else _listed(name, tuple(folder.names(trainables.datasets)), "data set")


class ObjectiveSpec(Section):
    """`objective`: what is made better."""

    metric: Literal["val_accuracy", "val_loss", "train_accuracy", "train_loss"] = "val_accuracy"
    mode: Literal["max", "min"] | None = None
    """Need not be given: accuracies are maximised, losses minimised."""

    @property
    def maximize(self) -> bool:
        """Whether a larger value is better."""
        return not self.metric.endswith("loss")

    @model_validator(mode="after")
    def _mode_fits(self) -> "ObjectiveSpec":
        wanted = "max" if self.maximize else "min"
        if self.mode not in (None, wanted):
            raise ValueError(
                f"{self.metric} is better when it is {'larger' if self.maximize else 'smaller'}: set mode: {wanted}"
            )
        return self


class SamplerSpec(Section):
    """`sampler`: who proposes the configurations."""

    name: str = "tpe"
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _listed(name, samplers.NAMES, "sampler")


class SchedulerSpec(Section):
    """`scheduler`: how long a trial may train, and who stops it before."""

    name: str = "asha"
    max_epochs: Annotated[int, Field(ge=1)] = 20
    grace_period: Annotated[int, Field(ge=1)] = 1
    """Epochs before the first rung."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """One in so many goes on past a rung, and the next rung is so many times later."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _listed(name, ("asha", "none"), "scheduler")

    @model_validator(mode="after")
    def _grace(self) -> "SchedulerSpec":
        if self.name == "asha" and self.max_epochs < self.grace_period:
            raise ValueError(
                f"max_epochs {self.max_epochs} is below grace_period {self.grace_period}: raise one or lower the other"
            )
        return self


class BudgetSpec(Section):
    """`budget`: when the search ends."""

    trials: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    """Wall time of the search, summed over its launches; confirmation is not counted."""
    concurrent: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"


class ResourcesSpec(Section):
    """`resources`: of one trial."""

    cpu: Annotated[int, Field(ge=1)] = 1
    gpu: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    """A number, a fraction to share a GPU, or auto: packed by measured memory where there is a GPU."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a trial whose worker died goes on from its last epoch."""


class TrackingSpec(Section):
    """`tracking`: where the record goes."""

    uri: str | None = None
    """MLflow's; null is MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here."""
    register_as: str | None = Field(default=None, alias="register")
    """Name of a registered model whose alias `champion` the winner becomes."""


class ConfirmSpec(Section):
    """`confirm`: retrain the best on fresh seeds and score them on the test set."""

    top: Annotated[int, Field(ge=1)] = 3
    seeds: Annotated[int, Field(ge=1)] = 3


class Spec(Section):
    """One search. `space` has been read into constants, parameters and conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: str
    """Of the MLflow experiment and of the folder of results."""
    data: DataSpec
    space: Space
    objective: ObjectiveSpec
    sampler: SamplerSpec
    scheduler: SchedulerSpec
    budget: BudgetSpec
    resources: ResourcesSpec
    tracking: TrackingSpec
    confirm: ConfirmSpec | None
    source: str
    """The file it was read from."""
    lines: dict[str, int]
    """The line of each key in it."""
    content: dict[str, Any]
    """The file's content after `--set`: what is recorded, and what the hash is taken of."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that the search may train."""
        return self.space.possible("model")

    @property
    def trials(self) -> int:
        """How many trials the search makes at the most."""
        combinations = len(self.space.product() if self.sampler.name == "grid" else self.space.grid)
        if self.sampler.name == "grid" or not self.space.sampled:
            return min(combinations, self.budget.trials or combinations)
        return self.budget.trials or combinations

    @property
    def kept(self) -> int:
        """How many of the best trials keep their weights."""
        return self.confirm.top if self.confirm else ConfirmSpec().top

    @property
    def hash(self) -> str:
        """Digest of the content: equal for equal searches."""
        return hashlib.blake2b(
            json.dumps(self.content, sort_keys=True, default=str).encode(), digest_size=6
        ).hexdigest()


SECTIONS: dict[str, type[Section]] = {
    "data": DataSpec,
    "objective": ObjectiveSpec,
    "sampler": SamplerSpec,
    "scheduler": SchedulerSpec,
    "budget": BudgetSpec,
    "resources": ResourcesSpec,
    "tracking": TrackingSpec,
    "confirm": ConfirmSpec,
}
KEYS = ("name", "model", "space", *SECTIONS)


def load(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """Read a spec file.

    Args:
        overrides: `key=value` of the command line's `--set`, the key a dotted path.

    Raises:
        UserError: every mistake in the file, with its key and line.
    """
    content, lines = yaml_file.read(path)
    problems = [p for override in overrides if (p := _override(content, override))]
    if not problems:
        spec, problems = parse(content, str(path), lines)
    if problems:
        raise UserError(problems, path, lines)
    assert spec is not None  # noqa: S101 (for the type checker: without problems there is a spec)
    return spec


def parse(content: dict[str, Any], source: str, lines: dict[str, int]) -> tuple[Spec | None, list[Problem]]:
    """A spec from a mapping, or everything that is wrong with it."""
    problems = [
        Problem(str(key), f"unknown key{folder.nearest(str(key), list(KEYS))}; there is: {', '.join(KEYS)}")
        for key in content
        if key not in KEYS
    ]
    sections = {name: _section(name, kind, content, problems) for name, kind in SECTIONS.items()}
    name = _name(content, problems)
    entries = content.get("space", {})
    if not isinstance(entries, dict):
        problems.append(Problem("space", "must be a mapping of hyperparameters"))
        entries = {}
    if "model" in content and "model" in entries:
        problems.append(Problem("model", "is given both here and in space: remove one"))
    model = content.get("model", entries.get("model", FIELDS["model"].default))
    parsed, found = space.parse({"model": model, **{str(key): entry for key, entry in entries.items()}})
    scheduler = sections["scheduler"]
    if isinstance(scheduler, SchedulerSpec) and "epochs" not in entries:
        parsed = Space({**parsed.constants, "epochs": scheduler.max_epochs}, parsed.parameters)
    problems += found
    problems += _space_problems(parsed)
    problems += _cross_problems(sections, parsed, entries)
    if problems:
        where = "model" if "model" in content else "space.model"
        return None, [Problem(p.key.replace("space.model", where, 1), p.text) for p in problems]
    fields: dict[str, Any] = {
        "name": name,
        "space": parsed,
        "source": source,
        "lines": lines,
        "content": content,
        **sections,
    }
    return Spec.model_construct(**fields), []


def _section(name: str, kind: type[Section], content: dict, problems: list[Problem]) -> Section | None:
    value = content.get(name, {})
    if name == "confirm" and value is None:
        return None
    if name == "data" and isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        problems.append(Problem(name, f"must be a mapping with some of {', '.join(_keys(kind))}, not {value!r}"))
        return None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems += _from_pydantic(name, kind, error)
        return None


def _keys(kind: type[Section]) -> list[str]:
    return [f.alias or name for name, f in kind.model_fields.items()]


def _from_pydantic(section: str, kind: type[Section], error: ValidationError) -> list[Problem]:
    """One problem a key; of the branches of a union (`auto` or a number) the texts are joined."""
    texts: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for item in error.errors():
        key = ".".join([section, *map(str, item["loc"][:1])])
        message = (
            item["msg"]
            .removeprefix("Value error, ")
            .replace("Input should be ", "")
            .replace("a valid integer", "a whole number")
            .replace("a valid ", "a ")
        )
        if item["type"] == "extra_forbidden":
            unknown = str(item["loc"][0])
            message = f"unknown key{folder.nearest(unknown, _keys(kind))}; there is: {', '.join(_keys(kind))}"
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"] != "value_error":
            given[key] = f", not {item['input']!r}"
        texts.setdefault(key, []).append(message)
    return [
        Problem(key, ("must be " if key in given else "") + " or ".join(dict.fromkeys(lines)) + given.get(key, ""))
        for key, lines in texts.items()
    ]


def _name(content: dict, problems: list[Problem]) -> str:
    name = content.get("name")
    if name is None:
        problems.append(Problem("name", "is missing: it names the MLflow experiment"))
    elif not isinstance(name, str) or not re.fullmatch(NAME, name):
        problems.append(Problem("name", f"must be letters, digits, '-', '_' and '.', not {name!r}"))
    return str(name)


def _space_problems(parsed: Space) -> list[Problem]:
    """Keys that nothing knows, values that no run can take, and settings that would have no effect."""
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
                Problem(
                    f"space.{key}", f"unknown hyperparameter{folder.nearest(key, known)}; there is: {', '.join(known)}"
                )
            )
    problems += [p for parameter in parsed.parameters if (p := _no_effect(parameter, parsed, options))]
    return problems


def _model_options(parsed: Space, problems: list[Problem]) -> dict[str, set[str]]:
    """The keyword arguments of the models' `build`, each with the models that take it."""
    options: dict[str, set[str]] = {}
    for model in parsed.possible("model"):
        try:
            build = folder.module(trainables.models, model).build
        except folder.UnknownName as error:
            problems.append(Problem("space.model", str(error)))
            continue
        for name, parameter in inspect.signature(build).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                options.setdefault(name, set()).add(model)
    return options


def _no_effect(parameter: space.Parameter, parsed: Space, options: dict[str, set[str]]) -> Problem | None:
    """A searched key that some trials would ignore: the search would take noise for its effect."""
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


def _cross_problems(sections: dict[str, Section | None], parsed: Space, entries: dict) -> list[Problem]:
    """What is wrong between sections that are right by themselves."""
    problems: list[Problem] = []
    sampler, budget, scheduler, data = (sections[name] for name in ("sampler", "budget", "scheduler", "data"))
    if isinstance(sampler, SamplerSpec):
        problems += samplers.problems(sampler.name, parsed)
        needs_budget = sampler.name != "grid" and parsed.sampled
        if isinstance(budget, BudgetSpec) and budget.trials is None and needs_budget:
            problems.append(
                Problem("budget.trials", f"is missing: {sampler.name} needs to know how many trials to make")
            )
    if isinstance(scheduler, SchedulerSpec) and "epochs" in entries:
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
    """Options that the data set does not take, or needs and lacks."""
    given = data.model_dump(include={"folder", "image_size"}, exclude_none=True)
    taken, needed = _load_options(data.name)
    problems = [Problem(f"data.{key}", f"{data.name} does not take it: remove it") for key in given if key not in taken]
    problems += [Problem(f"data.{key}", f"is missing: {data.name} needs it") for key in needed if key not in given]
    if data.offline_substitute and (lacks := _load_options(data.offline_substitute)[1]):
        problems.append(
            Problem("data.offline_substitute", f"{data.offline_substitute} cannot stand in: it needs data.{lacks[0]}")
        )
    return problems


def _load_options(data_set: str) -> tuple[list[str], list[str]]:
    """The keyword arguments of a data set's `load`, and those of them that it needs."""
    parameters = inspect.signature(folder.module(trainables.datasets, data_set).load).parameters.values()
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [p.name for p in keywords], [p.name for p in keywords if p.default is p.empty]


def _override(content: dict, override: str) -> Problem | None:
    """Set one `a.b=value` in the content."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        return Problem("--set", f"must be key=value, such as space.lr=1e-3, not {override!r}")
    *parents, last = path.strip().split(".")
    place = content
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            return Problem(f"--set {path}", f"{parent} is a value, not a section: set {parent} itself")
    place[last] = yaml_file.value(text)
    return None


def _listed(name: str, known: tuple[str, ...], what: str) -> str:
    if name not in known:
        raise ValueError(f"no {what} {name!r}{folder.nearest(name, list(known))}; there is: {', '.join(known)}")
    return name
