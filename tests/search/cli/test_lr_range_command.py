"""`python -m search.lr_range`: a suggestion, a picture, a range written into a spec."""

import pytest
import yaml
from conftest import write_spec
from PIL import Image

from search.lr_range import main
from search.spec.loader import load


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_suggests_draws_and_writes(tmp_path, capsys):
    spec = write_spec(tmp_path / "mine.yaml")
    spec.write_text("# a remark\n" + spec.read_text().replace("batch_size:", "# another\n  batch_size:"))
    assert main([str(spec), "--steps", "60", "--low", "1e-5", "--high", "1", "--write", "out.yaml"]) == 0
    out = capsys.readouterr().out
    assert "suggested lr" in out
    assert "batch_size=32" in out  # the first of the choices
    with Image.open("lr_range-mine.png") as picture:
        assert picture.size == (1200, 750)
        assert len(picture.convert("L").getcolors(256 * 256)) > 50
    written = load(tmp_path / "out.yaml").space
    low, high = next(p for p in written.parameters if p.key == "lr").extremes
    assert 1e-6 <= low < high <= 1
    text = (tmp_path / "out.yaml").read_text()
    assert "# a remark\n" in text
    assert "# another\n" in text
    assert spec.read_text() != text
    before, after = yaml.safe_load(spec.read_text()), yaml.safe_load(text)
    del before["space"]["lr"], after["space"]["lr"]
    assert before == after


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"lr": {"loguniform": [1e-4, 1e-2]}}, {"lr": pytest.approx(1e-3)}),
        ({"momentum": {"uniform": [0.5, 0.9]}, "optimizer": "sgd"}, {"momentum": pytest.approx(0.7)}),
        ({"decay_interval": {"int": [2, 8]}}, {"decay_interval": 5}),
        ({"batch_size": {"logint": [16, 64]}}, {"batch_size": 32}),
        ({"optimizer": {"choice": ["sgd", "adam"]}}, {"optimizer": "sgd"}),
        ({"lr, batch_size": {"grid": [[0.5, 8], [0.1, 16]]}}, {"lr": 0.5, "batch_size": 8}),
    ],
)
def test_of_searched_keys_the_first_or_the_middle_is_taken(tmp_path, space, expected):
    params = load(write_spec(tmp_path / "s.yaml", space=space)).space.middle()
    assert {key: params[key] for key in expected} == expected
    assert type(params.get("batch_size", 1)) is int


def test_a_conditional_key_is_left_out_where_it_does_not_apply(tmp_path):
    space = {
        "optimizer": {"choice": ["adam", "sgd"]},
        "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
    }
    assert "momentum" not in load(write_spec(tmp_path / "s.yaml", space=space)).space.middle()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--low", "1", "--high", "0.1"], "--low: must be above 0 and below --high"),
        (["--steps", "3"], "--steps: must be 20 or more"),
        (["--plot", "nowhere/x.png"], "--plot: there is no folder"),
        (["--write", "nowhere/x.yaml"], "--write: there is no folder"),
        (["--set", "space.lr=-1"], "space.lr: must be above 0"),
        (["--set", "data.name=flowers", "--data-dir", "nowhere"], "data: no folder"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(tmp_path, capsys, arguments, message):
    spec = write_spec(tmp_path / "mine.yaml")
    assert main([str(spec), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml"]


def test_a_range_cannot_be_written_into_a_table(tmp_path, capsys):
    spec = write_spec(tmp_path / "mine.yaml", space={"lr, batch_size": {"grid": [[0.5, 8], [0.1, 16]]}})
    assert main([str(spec), "--write", "out.yaml"]) == 2
    assert "--write: lr is varied together with other keys" in capsys.readouterr().err


def test_a_beginning_that_is_too_high_says_so(tmp_path, capsys):
    spec = write_spec(tmp_path / "mine.yaml", space={"optimizer": "sgd", "momentum": 0.9})
    assert main([str(spec), "--low", "1e3", "--high", "1e9"]) == 1
    assert "begin lower" in capsys.readouterr().out
