"""The console command: its commands, their help, the examples that it copies out, and what it imports for that."""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from contract import installation
from search import example_specs
from search.main import COMMANDS, build_parser, main

HEAVY = {"mlflow", "numpy", "optuna", "pandas", "plotly", "pydantic", "ray", "torch", "yaml"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project, as if it were installed: its examples are in the package."""
    place = tmp_path / "site-packages" / "search"
    shutil.copytree(PROJECT / "spaces", place / "examples")
    monkeypatch.setattr(installation, "FOLDER", tmp_path / "site-packages")
    monkeypatch.setattr(example_specs, "__file__", str(place / "example_specs.py"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help_under_its_own_name(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: hpsearch {command} ")
    assert len(printed.splitlines()) > 5


@pytest.mark.parametrize(
    "module", [c.module for c in COMMANDS.values() if c.module not in ("search.cli.init", "search.completion")]
)
@pytest.mark.process
def test_the_module_of_a_command_still_runs_under_its_own_name(module):
    printed = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.startswith(f"usage: python -m {module} ")


def test_a_command_hands_on_its_exit_code_and_its_mistakes(here, capsys):
    assert main(["run", "missing.yaml"]) == 2
    assert "missing.yaml: no such file" in capsys.readouterr().err


def test_without_a_command_all_are_listed(capsys):
    assert main([]) == 2
    printed = capsys.readouterr().err
    assert re.findall(r"^    ([a-z-]+)\b", printed, re.M) == list(COMMANDS)
    assert "hpsearch init quickstart" in printed


def test_an_unknown_command_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["serach"])
    assert "'run'" in capsys.readouterr().err


def test_the_version_names_the_commit_of_a_checkout(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert re.fullmatch(
        rf"hpsearch {re.escape(installation.version())}( \(commit [0-9a-f]{{12}}\))?\n", capsys.readouterr().out
    )


@pytest.mark.process
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_instant_as_nothing_heavy_is_imported(command):
    arguments = [*command.split(), "--help"]
    code = f"import sys\nfrom search.main import main\ntry:\n    main({arguments})\nfinally:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    needed = {"numpy"} if command == "train" else set()  # an image's type is there when its arguments are described
    assert not (HEAVY - needed) & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_completed(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command in script
    for option in ("resume", "no-png", "steps", "batch-size"):
        assert option in script


@pytest.mark.parametrize("command", COMMANDS)
def test_a_parser_knows_the_arguments_of_the_commands_that_were_asked_for(command):
    parser = build_parser([command])
    [commands] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    whole = [name for name, subparser in commands.choices.items() if len(subparser._actions) > 1]
    assert whole == [command]


def test_an_example_is_copied_and_nothing_is_overwritten(here, capsys):
    assert main(["init", "quickstart"]) == 0
    assert "hpsearch run quickstart.yaml" in capsys.readouterr().out
    copied = here / "quickstart.yaml"
    assert copied.read_bytes() == (PROJECT / "spaces" / "quickstart.yaml").read_bytes()
    copied.write_text("changed")
    assert main(["init", "quickstart.yaml"]) == 2
    assert "quickstart.yaml: is there already" in capsys.readouterr().err
    assert copied.read_text() == "changed"


@pytest.mark.parametrize(
    ("name", "message"), [("quikstart", "did you mean 'quickstart'?"), ("../secrets", "there is: "), ("", None)]
)
def test_an_example_that_is_not_there_is_refused_with_those_there_are(here, capsys, name, message):
    assert main(["init", name]) == (2 if message else 0)
    printed = capsys.readouterr()
    assert (message or "quickstart") in printed.err + printed.out
    assert "lenet" in printed.err + printed.out
    assert not list(here.iterdir())


def test_a_folder_that_cannot_be_written_to_is_a_mistake_that_is_told(here, capsys, monkeypatch):
    before = Path.open

    def refused(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if mode == "xb":
            raise PermissionError("Permission denied")
        return before(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refused)
    assert main(["init", "quickstart"]) == 2
    assert "quickstart.yaml: cannot be written: Permission denied" in capsys.readouterr().err


def test_the_examples_are_listed_with_what_each_is_about(capsys):
    assert main(["init"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = sorted(path.stem for path in (PROJECT / "spaces").glob("*.yaml"))
    assert [line.split()[0] for line in lines[: len(names)]] == names
    [line] = [line for line in lines if line.startswith("quickstart ")]
    assert "LeNet on the handwritten digits" in line
    assert all(len(line.split(maxsplit=1)[1].strip()) > 10 for line in lines[: len(names)])


@pytest.mark.usefixtures("installed")
def test_an_installed_project_has_its_examples_in_the_package(here, capsys):
    assert main(["run", "missing.yaml"]) == 2
    assert "no such file; `hpsearch init quickstart` puts one" in capsys.readouterr().err
    assert main(["init", "quickstart"]) == 0
    (here / "list.yaml").write_text("- a list\n")
    assert main(["run", "list.yaml"]) == 2
    assert "`hpsearch init quickstart`" in capsys.readouterr().err


def test_in_a_checkout_the_examples_are_where_they_are(here, monkeypatch, capsys):
    assert main(["run", "missing.yaml"]) == 2
    assert f"no such file; the specs that come with the project are in {PROJECT}/spaces/" in capsys.readouterr().err
    monkeypatch.chdir(PROJECT)
    assert main(["run", "missing.yaml"]) == 2
    assert "no such file; the specs that come with the project are in spaces/" in capsys.readouterr().err
