"""Names from a spec or the command line stay text: on a terminal, in a path, in a command that is shown."""

import io
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_picture_folders, write_spec
from rich.console import Console

from search.cli import dry_run, finish
from search.errors import Problem, UserError, one_line
from search.journal.run_folder import _earlier
from search.run import main
from search.spec.loader import load
from search.storage.layout import Layout
from trainables.cache import cache_dir
from trainables.datasets import image_folder
from trainables.errors import ModelError
from trainables.image_data import DataError
from trainables.pretrained import check_options

NAMES = [
    "../../x",
    "<script>alert(1)</script>",
    "x" * 300,
    "\N{GRINNING FACE}",
    "a\nb",
    "a\0b",
    "con",
    "-rf",
    "[red]",
    "[/]",
]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, two folders deep, with pictures in its data directory and others outside of it."""
    here = tmp_path / "deep" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    for place in (here / "data" / "pictures", tmp_path / "outside"):
        write_picture_folders(place, ("cat", "dog"), {"train": 10, "test": 2}, size=16)
    return here


def told(world: Path, capsys: pytest.CaptureFixture, *options: str, **sections: object) -> str:
    """What the command says of a spec that it refuses."""
    small = {"space": {"batch_size": 4}, "scheduler": {"max_epochs": 1}, "resources": {"gpu": 0}}
    write_spec(world / "made.yaml", **{**small, **sections})
    before = sorted(world.parent.parent.rglob("*"))
    assert main(["made.yaml", "--in-process", *options]) == 2
    assert sorted(world.parent.parent.rglob("*")) == before
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert all(line.startswith("error: ") and line.isprintable() for line in lines)
    return printed.err


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["name", "data", "model", "choice", "optimizer", "register"])
def test_a_name_that_is_none_is_refused_and_leaves_nothing_behind(world, capsys, where, name):
    if where == "name" and name == "con":
        pytest.skip("a name as good as others here")
    if where == "register" and name in ("x" * 300, "con", "-rf", "[red]", "\N{GRINNING FACE}"):
        pytest.skip("MLflow takes it, or it is tested below")
    sections: dict[str, dict] = {
        "name": {"name": name},
        "data": {"data": {"name": name}},
        "model": {"model": name},
        "choice": {"model": {"choice": ["lenet", name]}},
        "optimizer": {"space": {"optimizer": {"choice": ["sgd", name]}}},
        "register": {"tracking": {"register": name}},
    }
    said = told(world, capsys, **sections[where])
    assert "made.yaml:" in said
    assert {"choice": "model", "optimizer": "space.optimizer", "register": "tracking"}.get(where, where) in said


@pytest.mark.parametrize("name", [*NAMES, "", "x" * 101])
def test_a_registered_name_that_mlflow_would_refuse_at_the_end_is_refused_at_the_start(tmp_path, name):
    path = write_spec(tmp_path / "made.yaml", tracking={"register": name})
    if name in ("con", "-rf", "[red]", "\N{GRINNING FACE}"):
        assert load(path).tracking.register_as == name
    else:
        with pytest.raises(UserError, match=r"tracking\.register"):
            load(path)


@pytest.mark.parametrize(
    "folder", ["../../../outside", "..", "pictures/../../../../outside", "/etc", "~/../..", *NAMES]
)
def test_a_folder_of_pictures_is_under_the_data_directory(world, capsys, folder):
    said = told(world, capsys, data={"name": "image_folder", "folder": folder})
    assert "made.yaml:2: data" in said or "made.yaml:3: data" in said or "made.yaml:4: data.folder" in said
    if ".." in folder.split("/") or folder.startswith("/"):
        assert "data.folder: must be a folder under the data directory" in said
        with pytest.raises(DataError, match="under the data directory"):
            image_folder.load(world / "data", folder=folder)


def test_a_link_in_the_data_directory_is_followed(world):
    (world / "data" / "linked").symlink_to(world.parent.parent / "outside")
    assert len(image_folder.load(world / "data", folder="linked").train_labels) == 20


def test_the_cache_s_folders_have_plain_names(world):
    name = "\N{GRINNING FACE}[red]" + "x" * 240
    (world / "data" / "pictures").rename(world / "data" / name)
    image_folder.load(world / "data", folder=name)
    newest = max(cache_dir().glob("*"), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name.isascii()
    assert len(newest.name) < 130


@pytest.mark.parametrize("weights", [*NAMES, "x" * 5000])
def test_weights_of_any_name_are_a_file_or_refused(weights):
    with pytest.raises(ModelError, match="no file"):
        check_options(weights, frozen=False)


@pytest.mark.parametrize("id", [*NAMES, "..", ".", "", "*", "../other/20260101-000000-aaaa"])
def test_only_a_search_of_this_spec_is_resumed(tmp_path, id):
    for name in ("made", "other"):
        folder = tmp_path / name / "20260101-000000-aaaa"
        folder.mkdir(parents=True)
        for file in ("journal.jsonl", "spec.yaml", "data.json"):
            (folder / file).touch()
    with pytest.raises(UserError, match="--resume: no search"):
        _earlier(tmp_path / "made", id)
    assert _earlier(tmp_path / "made", "20260101-000000-aaaa").parent.name == "made"


def test_values_are_no_markup_on_the_terminal(tmp_path):
    spec = load(write_spec(tmp_path / "made.yaml", budget={"trials": 5}))
    hostile = {"constant": "[red]x", **spec.space.constants}
    object.__setattr__(spec, "space", spec.space.__class__(hostile, spec.space.parameters))
    text = io.StringIO()
    console = Console(file=text, width=200)
    console.print(dry_run._space(spec))
    console.print(dry_run._table(spec, [{"lr": "[/]", "batch_size": "[bold]y"}]))
    assert all(value in text.getvalue() for value in ("[red]x", "[/]", "[bold]y"))


def test_commands_that_are_shown_can_be_pasted(tmp_path):
    place = tmp_path / "a b; touch [red] $(x)'"
    folder = SimpleNamespace(id="20260101-000000-aaaa", files=Layout(place))
    options = SimpleNamespace(
        spec=Path("-x y.yaml"), set=["space.lr=$(touch x)"], results=place, address=None, data_dir=Path("d e"),
        in_process=False, report=True, allow_code=False,
    )  # fmt: skip
    shown = finish.commands(options, folder, f"sqlite:///{place}/m.db", False, False, place / "index.html")
    resumed, page, ui, dashboard = (shlex.split(command) for _, command in shown)
    assert resumed[:4] == ["python", "-m", "search.run", "./-x y.yaml"]
    assert "space.lr=$(touch x)" in resumed
    assert str(place) in resumed
    assert page == [str(place / "index.html")]
    assert ui == ["mlflow", "ui", "--backend-store-uri", f"sqlite:///{place}/m.db"]
    assert dashboard == ["optuna-dashboard", str(place / "study.log")]


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\0", "\ud800", "\u2028", "x" * 10_000])
def test_a_message_is_one_line_that_a_terminal_can_show(text):
    [message] = UserError([Problem("key", text)], "made.yaml").messages()
    assert message.isprintable()
    assert message.encode()
    assert len(message) < 3100
    assert one_line("plain \N{GRINNING FACE} é") == "plain \N{GRINNING FACE} é"
