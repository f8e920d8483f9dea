"""Whatever stands in a spec: it is read, or refused with messages that name the file and the key. Never a traceback."""

import datetime
import math
import tempfile
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.errors import UserError
from search.run import main
from search.spec.loader import KEYS, load
from search.storage.layout import Layout
from search.study.study import StudySearcher
from trainables.config import FIELDS, TrainConfig
from trainables.datasets import cifar10

PROJECT = Path(__file__).parents[3]
MAX_LINE_LENGTH = 4000
"""Characters of a message, whatever it quotes."""
SAMPLES = 5

BASE = yaml.safe_load((PROJECT / "spaces" / "lenet.yaml").read_text())
BASES = [yaml.safe_load(path.read_text()) for path in sorted((PROJECT / "spaces").glob("*.yaml"))]
BASES += [
    BASE
    | {
        "model": {"choice": ["lenet", "mlp", "timm/resnet18"]},
        "space": {
            "lr, epochs": {"grid": [[1e-3, 4], [1e-2, 3]]},
            "seed": {"grid": [0, 1, 2]},
            "pooling": {"choice": ["max", "average"], "when": {"model": "lenet"}},
            "batch_size": {"logint": [4, 512]},
        },
        "objective": {"metric": "val_loss"},
        "tracking": {"uri": "http://127.0.0.1:9", "register": "digits"},
    },
    BASE | {"space": {"seed": {"int": [0, 9]}, "resize": {"choice": [0, 24]}}, "sampler": {"name": "grid"}},
    BASE | {"data": {"name": "image_folder", "folder": "pictures", "image_size": 8}, "sampler": {"name": "cmaes"}},
]
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**30, 10**400, -(10**400), 0.0, -0.5, 1e308, -1e308, 5e-324,
    math.nan, math.inf, -math.inf, "", " ", "a", "none", "null", "1e3", "../../x", "/etc/passwd", "-rf", "con", "~",
    "<script>alert(1)</script>", "[red]", "[/]", "{}", "x" * 300, "x" * 100_000, "\U0001f600", "a\nb", "a\0b",
    "\x1b[2J", "\u2028", "\ud800", "\u202e", "+", "flip+flip", "timm/", "timm/nothing", "torchvision/", "/", ".", "..",
    "a.b", "a:b", [], [[]], {}, {"a": 1}, [None], [1, 2], [2, 1], [1, 1], [0, 10**12], [0, 10**30], [-1e308, 1e308],
    [1e-320, 1.0], ["a"], [1, True], [1, 1.0], [0.5, math.nan], {"choice": []}, {"choice": [{}]}, {"choice": [1, True]},
    {"choice": [math.nan]}, {"grid": list(range(1000))}, {"choice": list(range(3000))}, {"int": [0, 10**12]},
    {"int": [0, 10**18]}, {"uniform": [-1e308, 1e308]}, {"loguniform": [1e-320, 1e300]}, {"logint": [1, 10**15]},
    {"grid": [[1, 2], [3]]}, {"grid": [[[]]]}, {"choice": [1], "grid": [1]}, {"when": {}}, {"choice": [1], "when": 1},
    {"choice": [1], "when": {"lr": 1}}, {"choice": [1], "when": {"optimizer": []}}, {"int": [1, 2], "when": {1: 2}},
    {None: None}, {1: 1, "a": 2}, {True: 1}, {1.5: 1}, datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1),
    b"\xff", {"a", "b"}, "lenet", "sgd", "adam", {"choice": ["sgd", None]}, "test", "rest", 0.1,
]  # fmt: skip
RAW = [
    "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!python/tuple [1]", "!nothing x",
    "&a [*a]", "&a {a: *a}", "&a {<<: *a}", "*nothing", "!!timestamp x", "2001-99-99", "!!int ''", "!!int x",
    "!!float x", "!!bool x", "!!null x", "!!binary 'é'", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1, a: 2]",
    "!!str {}", "!!map []", "!!seq {}", "0x", "0b", "0o9", "1:2:3", "-.inf", ".NaN", "1_000", "=", "<<", "{<<: 1}",
    "{<<: [1]}", "{? [a] : b}", "{? {a: 1} : b}", "{? !!binary aa : b}", "9" * 5000, "[" * 300, "{a: " * 300,
    "[" * 5000 + "]" * 5000, "'", '"\\', "%", "@", "`", "|", ">", "---", "...", "- 1\n- 2", "\t", "a: b: c", "!!", "!<",
    "&", '"\\0"', '"\\ud800"', '"\\U00110000"', "1e400", "1e-400", "{a: 1, a: 2}", "{1: 2, '1': 3}", "on", "0777",
    "1__0.0_e5",
    "[" + ", ".join(f"&m{i} [{', '.join([f'*m{i - 1}' if i else 'x'] * 9)}]" for i in range(9)) + "]",
]  # fmt: skip


fast = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
thorough = settings(fast, max_examples=4000, derandomize=False, print_blob=True)
shown = settings(fast, max_examples=40)


def is_told(lines: list[str], beginning: str) -> None:
    """The messages are such as a person can read, a line a mistake."""
    assert lines
    for line in lines:
        assert line.startswith(beginning), line
        assert len(line) < MAX_LINE_LENGTH
        assert line.isprintable(), line


def survives(text: str | bytes, overrides: tuple[str, ...] = ()) -> bool:
    """Whether it is read; what is read can be counted, hashed and drawn from."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        try:
            spec = load(path, overrides)
        except UserError as error:
            is_told(error.messages(), str(path))
            return False
        assert spec.trials >= 1
        assert len(spec.hash) == 12
        assert spec.space.grid
        searcher = StudySearcher(spec, Layout(Path(folder)).study)
        for _ in range(min(SAMPLES, spec.trials)):
            asked = searcher.ask()
            assert asked is not None
            TrainConfig.from_params(asked[1]).in_effect()
        return True


def dumped(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


scalars = st.one_of(
    st.sampled_from(ODD), st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(),
    st.binary(max_size=5), st.sampled_from([*FIELDS, *KEYS]),
)  # fmt: skip
names = st.one_of(
    st.sampled_from([*KEYS, *FIELDS, "choice", "grid", "int", "uniform", "loguniform", "logint", "when", "name"]),
    st.sampled_from(["lr, epochs", "lr,lr", ",", "", "a,", "pooling", "weights", "folder", "a.b", "hours", "seeds"]),
    st.text(max_size=10), st.integers(), st.none(), st.booleans(),
)  # fmt: skip
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=25
)
yaml_text = st.text(
    alphabet=st.sampled_from(list("{}[]:,&*!?|>-'\"#%@`<=~. \n\t\r\0\x1b\u2028\ufeffé\U0001f600abe019_")), max_size=80
)


def paths(value: Any, here: tuple = ()) -> list[tuple]:
    """Where something stands in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, child in items for path in [(*here, key), *paths(child, (*here, key))]]


def at(value: Any, path: tuple) -> Any:
    """What stands at a place of a document."""
    return reduce(lambda found, key: found[key], path, value)


def other_value(draw: st.DrawFn, what: str, marks: dict[str, str]) -> Any:
    """A value to put in the place of another; of a raw text a mark, which it is to replace in the dumped document."""
    if what == "odd":
        return draw(st.sampled_from(ODD))
    if what == "swap":
        return at(BASE, draw(st.sampled_from(paths(BASE))))
    if what == "raw":
        mark = f"mark{len(marks)}"
        marks[mark] = draw(st.sampled_from(RAW) | yaml_text)
        return mark
    return draw(documents)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A right spec with some of its keys dropped, renamed, or given other values; or another text in their place."""
    content = yaml.safe_load(dumped(draw(st.sampled_from(BASES))))
    marks: dict[str, str] = {}
    for _ in range(draw(st.integers(1, 3))):
        here = draw(st.sampled_from(paths(content) or [()]))
        if not here:
            break
        parent = at(content, here[:-1])
        what = draw(st.sampled_from(["drop", "rename", "replace", "replace", "odd", "odd", "add", "raw", "swap"]))
        if what == "drop":
            del parent[here[-1]]
        elif what == "rename" and isinstance(parent, dict):
            parent[draw(names)] = parent.pop(here[-1])
        elif what == "add" and isinstance(parent, dict):
            parent[draw(names)] = deepcopy(draw(documents))
        else:
            parent[here[-1]] = deepcopy(other_value(draw, what, marks))
    text = dumped(content)
    for mark, raw in marks.items():
        text = text.replace(mark, raw)
    return text


@st.composite
def overrides(draw: st.DrawFn) -> str:
    known = [".".join(map(str, path)) for path in paths(BASE)]
    key = draw(st.sampled_from(known) | names.map(str) | st.lists(names.map(str), max_size=4).map(".".join) | yaml_text)
    value = draw(st.sampled_from(RAW) | yaml_text | st.sampled_from(ODD).map(lambda v: dumped(v)) | st.text(max_size=9))
    return draw(st.sampled_from([f"{key}={value}"] * 9 + [key, f"{key}{value}"]))


@st.composite
def plausible(draw: st.DrawFn) -> str:
    """A spec that is nearly right: every hyperparameter searched in some way, over values that it may well take."""
    sizes = st.sampled_from([0, 1, 2, 3, 8, 2**31, 2**53, 2**53 + 1, 10**20]) | st.integers(0, 100)
    reals = st.sampled_from([0.0, 5e-324, 1e-320, 1e-9, 0.5, 1.0, 1e300]) | st.floats(0, 1) | sizes
    space: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(sorted(set(FIELDS) - {"model"})), unique=True, max_size=7)):
        field = FIELDS[key]
        given = [*field.metadata.get("names", ()), *field.metadata.get("parts", ()), field.default]
        values = (
            st.sampled_from(given) if isinstance(field.default, str | bool) else draw(st.sampled_from([sizes, reals]))
        )
        kind = draw(st.sampled_from(["choice", "grid", "constant", "int", "logint", "uniform", "loguniform"]))
        if kind == "constant":
            space[key] = draw(values)
            continue
        many = kind in ("choice", "grid") or isinstance(field.default, str | bool)
        listed = st.lists(values, unique=True, min_size=1, max_size=30) if many else st.tuples(reals, reals).map(sorted)
        space[key] = {("choice" if many and kind not in ("choice", "grid") else kind): list(draw(listed))}
        if space and draw(st.booleans()):
            other = draw(st.sampled_from(sorted(space)))
            if isinstance(space[other], dict) and other != key:
                space[key]["when"] = {
                    other: draw(st.sampled_from(next(v for k, v in space[other].items() if k != "when")))
                }
    if draw(st.booleans()):
        space = {"lr, momentum": {"grid": draw(st.lists(st.tuples(reals, reals).map(list), max_size=20))}, **space}
    return dumped(
        {
            "name": "plausible",
            "data": "digits",
            "space": space,
            "sampler": {"name": draw(st.sampled_from(["tpe", "random", "grid", "cmaes", "tpe"])), "seed": draw(sizes)},
            "scheduler": {"max_epochs": draw(sizes)},
            "budget": {"trials": draw(sizes)},
        }
    )


def alone(texts: st.SearchStrategy) -> st.SearchStrategy[tuple]:
    return st.tuples(texts, st.just(()))


ANYTHING = {
    "bytes": alone(st.binary(max_size=200)),
    "text": alone(yaml_text | st.text(max_size=100)),
    "document": alone(st.dictionaries(names, documents, max_size=8).map(dumped)),
    "mutated": alone(mutated()),
    "plausible": alone(plausible()),
    "override": st.tuples(st.just(dumped(BASE)), st.lists(overrides(), min_size=1, max_size=3).map(tuple)),
}


def _check(case: tuple) -> None:
    survives(*case)


@pytest.mark.parametrize("what", ANYTHING)
def test_anything_is_read_or_refused(what):
    fast(given(ANYTHING[what])(_check))()


@pytest.mark.slow
@pytest.mark.parametrize("what", ANYTHING)
def test_anything_is_read_or_refused_at_length(what):
    thorough(given(ANYTHING[what])(_check))()


def _check_command(folder: Path, capsys: pytest.CaptureFixture, case: tuple) -> None:
    text, overrides = case
    path = folder / "any.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    options = [option for override in overrides for option in (f"--set={override}",)]
    code = main([str(path), "--in-process", "--dry-run", "--data-dir", str(folder), *options])
    printed = capsys.readouterr()
    assert code in (0, 2)
    if code == 2:
        is_told(printed.err.splitlines(), "error: ")
        assert printed.out == ""


@pytest.mark.parametrize("what", ["mutated", "plausible", "override"])
def test_a_dry_run_of_anything_ends_with_an_exit_code(what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10, "HOST", "localhost.invalid")
    shown(given(ANYTHING[what])(lambda case: _check_command(tmp_path, capsys, case)))()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["mutated", "plausible", "override"])
def test_a_dry_run_of_anything_ends_with_an_exit_code_at_length(what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10, "HOST", "localhost.invalid")
    settings(thorough, max_examples=400)(given(ANYTHING[what])(lambda case: _check_command(tmp_path, capsys, case)))()


def refused(tmp_path: Path, content: dict | str, *overrides: str) -> list[str]:
    path = tmp_path / "any.yaml"
    path.write_text(content if isinstance(content, str) else dumped(content))
    with pytest.raises(UserError) as caught:
        load(path, overrides)
    return [message.removeprefix(str(path)) for message in caught.value.messages()]


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_a_grid_that_no_memory_could_hold_is_refused_with_the_limit(tmp_path, sampler):
    keys = ("lr", "momentum", "weight_decay", "clip_norm", "decay_factor", "lr_floor", "label_smoothing")
    grids = {key: {"grid": [(i + 1) / 1001 for i in range(1000)]} for key in keys}
    [message] = refused(tmp_path, BASE | {"space": {**grids, "optimizer": "sgd"}, "sampler": {"name": sampler}})
    assert ": space: the grid has more than 10,000 points" in message


def test_a_choice_of_ranges_that_no_memory_could_hold_is_refused_by_the_grid_sampler_alone(tmp_path):
    space = {key: {"choice": list(range(1, 1001))} for key in ("seed", "epochs", "batch_size")}
    content = BASE | {"space": space, "scheduler": {"max_epochs": 1000}}
    [message] = refused(tmp_path, content | {"sampler": {"name": "grid"}})
    assert ": space: the grid has more than 10,000 points" in message
    assert survives(dumped(content))


def test_many_keys_that_are_varied_together_are_as_many_points_as_rows(tmp_path):
    keys = ("lr", "momentum", "weight_decay", "clip_norm", "decay_factor", "lr_floor", "label_smoothing")
    rows = [[(i + 1) / 1001] * len(keys) for i in range(1000)]
    content = BASE | {"space": {", ".join(keys): {"grid": rows}, "optimizer": "sgd"}}
    assert survives(dumped(content))


def test_a_range_of_numbers_beyond_counting_is_drawn_from_but_no_grid(tmp_path):
    content = BASE | {"space": {"seed": {"int": [0, 10**9]}}}
    assert survives(dumped(content))
    [message] = refused(tmp_path, content | {"sampler": {"name": "grid"}})
    assert "space.seed.int: the grid sampler needs values that can be counted" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "name: made\nspace: " + RAW[-1],
            "20,000 keys and values",
        ),
        ("name: made\nspace: " + "[" * 100 + "]" * 100, "20 levels deep"),
        ("name: made\nspace: " + "[" * 5000 + "]" * 5000, "20 levels deep"),
        ("name: made\nspace: &a {<<: *a}", "20 levels deep; does an alias"),
        ("name: made\nspace:\n  lr: " + "9" * 5000, ":3: space.lr: has 5,000 characters, at most 1,000"),
        ('name: made\nspace:\n  lr: "\\0"', ":3: space.lr: must be one line of visible characters, without '\\x00'"),
        ('name: made\nmodel: "\\e[2J"', ":2: model: must be one line of visible characters, without '\\x1b'"),
        ("#" * 1_000_001, "1,000,000 are allowed"),
        ("name: made\nspace: {lr: 2001-99-99}", "not valid YAML: month must be in 1..12"),
    ],
)
def test_what_cannot_be_walked_or_shown_is_refused_at_once(tmp_path, text, words):
    [message] = refused(tmp_path, text)
    assert words in message


@pytest.mark.parametrize(
    "name", ["../../x", "<script>alert(1)</script>", "x" * 101, "\U0001f600", "a\nb", "-rf", ".x", ""]
)
def test_a_name_is_one_of_a_file_everywhere(tmp_path, name):
    [message] = refused(tmp_path, BASE | {"name": name})
    assert message.startswith(":1: name: ")


def test_what_an_override_says_is_checked_as_what_a_file_says(tmp_path):
    for override in ("space.lr=" + "9" * 2000, "space.lr=a\0b", "space.l\x1br=1", ".".join("a" * 30) + "=1"):
        [message] = refused(tmp_path, BASE, override)
        assert ": --set " in message
        assert message.isprintable()
