"""Passwords and tokens: they open the server's door, and are shown nowhere."""

import argparse
import importlib.util
from pathlib import Path

import pytest
from conftest import PROJECT, TrackingServer, free_port, write_picture_folders, write_spec
from faulty_proxy import FaultyProxy
from mlflow.tracking import MlflowClient

from analysis import report
from contract.redaction import redact
from search import run
from search.cli.finish import resume_command
from search.preflight import tracking
from search.preflight.tracking import TrackingUnreachable

PASSWORD = "swordfish-9"  # noqa: S105 (made)
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "mackerel-7",
    "MLFLOW_TRACKING_TOKEN": "haddock-5",
    "AWS_SECRET_ACCESS_KEY": "sturgeon-3",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://lena:swordfish-9@host:5000/x", "http://lena:***@host:5000/x"),
        ("https://lena:sword%40fish@host", "https://lena:***@host"),
        ("https://lena:sword@fish/9@host", "https://lena:***@host"),
        ("http://:swordfish-9@host", "http://:***@host"),
        ("https://a-token@host", "https://***@host"),
        ("uri: 'http://lena:swordfish-9@host'\nregister: best", "uri: 'http://lena:***@host'\nregister: best"),
        ("API request to http://a:b@host/api failed: pool(host='host', port=80)",
         "API request to http://a:***@host/api failed: pool(host='host', port=80)"),
        ("http://host:5000/a see me@home", "http://host:5000/a see me@home"),
        ("sqlite:////home/me@home/mlflow.db", "sqlite:////home/me@home/mlflow.db"),
        ("postgresql://me:swordfish-9@db/mlflow", "postgresql://me:***@db/mlflow"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_password(text: str, shown: str):
    assert redact(text) == shown


def test_secrets_of_the_environment_are_found_in_any_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "haddock-5\n")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s")
    assert redact("Invalid header value: 'Bearer haddock-5\\n'") == "Invalid header value: 'Bearer ***\\n'"


def test_the_command_to_go_on_is_shown_without_the_password():
    options = argparse.Namespace(
        spec=Path("a.yaml"), set=[f"tracking.uri=http://lena:{PASSWORD}@host"], results=None, address=None,
        data_dir=Path("data"), in_process=False, report=True, allow_code=False,
    )  # fmt: skip
    command = resume_command(options, "20261123-1")
    assert command.endswith("'tracking.uri=http://lena:***@host' --resume 20261123-1")
    with pytest.raises(TrackingUnreachable, match=r"without the password: write it in place of \*\*\*"):
        tracking.check("http://lena:***@host")


@pytest.fixture
def guarded(tracking_server: str):
    """A server behind a proxy that asks for a password."""
    with FaultyProxy(tracking_server, user="lena", password=PASSWORD) as proxy:
        yield proxy


def test_the_right_password_opens_the_door_from_the_address_and_from_the_environment(
    guarded: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    tracking.check(f"http://lena:{PASSWORD}@{guarded.address}")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "lena")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    tracking.check(guarded.uri)


@pytest.mark.parametrize("who", ["", "lena:herring@", "lena:%73wordfish-8@"])
def test_a_wrong_password_is_refused_before_the_search_and_not_repeated(guarded: FaultyProxy, who: str):
    with pytest.raises(
        TrackingUnreachable, match="refuses the user name and password, or the token: give them"
    ) as info:
        tracking.check(f"http://{who}{guarded.address}")
    assert "herring" not in str(info.value)


@pytest.mark.parametrize("address", ["http://lena:trout/8@host", "http://lena:trout#8@host:port"])
def test_an_address_that_cannot_be_read_says_what_to_do_and_keeps_the_password(address: str):
    with pytest.raises(TrackingUnreachable, match="in a password write %40 for @") as info:
        tracking.check(address)
    assert "trout" not in str(info.value)


def test_a_wrong_password_is_a_users_mistake_that_is_told_without_it(
    guarded: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    spec = write_spec(tmp_path / "wrong.yaml", tracking={"uri": f"http://lena:herring@{guarded.address}"})
    assert run.main([str(spec), "--in-process"]) == 2
    error = capsys.readouterr().err
    assert f"http://lena:***@{guarded.address}: the server refuses" in error
    assert "herring" not in error
    assert report.main(["wrong", "--tracking-uri", f"http://lena:herring@{guarded.address}"]) == 2
    assert "herring" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_whole_search_shows_no_secret_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    """Not in what it prints, keeps, sends to MLflow, or reports; and the password of the address is what counts."""
    served, home = tmp_path / "served", tmp_path / "home"
    served.mkdir()
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody-else")
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    write_picture_folders(home / "data" / "mine", ("black", "blue", "red"), {"train": 40, "test": 4})
    server = TrackingServer(served, free_port())
    server.start()
    try:
        with FaultyProxy(server.uri, user="lena", password=PASSWORD) as proxy:
            uri = f"http://lena:{PASSWORD}@{proxy.address}"
            spec = write_spec(
                tmp_path / "discreet.yaml",
                data={"name": "image_folder", "folder": "mine", "validation": 0.2},
                scheduler={"max_epochs": 1},
                budget={"trials": 2},
                tracking={"uri": uri, "register": "discreet-best"},
            )
            options = [str(spec), "--in-process", "--data-dir", "data"]
            assert run.main(options) == 0
            assert run.main([*options, "--resume"]) == 0
            assert report.main(["discreet", "--tracking-uri", uri, "--out", "page", "--no-png"]) == 0
            proxy.fault = lambda method, path: "fail"
            assert report.main(["discreet", "--tracking-uri", uri, "--out", "page"]) == 2
        assert MlflowClient(server.uri).get_model_version_by_alias("discreet-best", "champion").version == "1"
    finally:
        server.stop()
    printed = capfd.readouterr()
    assert f"http://lena:***@{proxy.address}" in printed.out
    assert f"uri: http://lena:***@{proxy.address}" in next(home.glob("results/*/*/spec.yaml")).read_text()
    assert (home / "page" / "index.html").exists()
    texts = {"stdout": printed.out.encode(), "stderr": printed.err.encode()}
    texts |= {str(path): path.read_bytes() for place in (served, home) for path in place.rglob("*") if path.is_file()}
    assert len(texts) > 20
    for where, text in texts.items():
        for secret in (PASSWORD, *SECRETS.values()):
            assert secret.encode() not in text, where


@pytest.mark.process
@pytest.mark.skipif(importlib.util.find_spec("flask_wtf") is None, reason="mlflow[auth] is not installed")
def test_mlflows_own_basic_auth_lets_in_who_knows_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "made-for-this-test")
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", f"{PASSWORD}-{PASSWORD}")
    server = TrackingServer(tmp_path, free_port(), "--app-name", "basic-auth")
    server.start()
    try:
        host = server.uri.removeprefix("http://")
        tracking.check(f"http://admin:{PASSWORD}-{PASSWORD}@{host}")
        for who in ("", "admin:wrong@"):
            with pytest.raises(TrackingUnreachable, match="refuses the user name"):
                tracking.check(f"http://{who}{host}")
    finally:
        server.stop()


def test_no_document_opens_a_server_to_the_network():
    documents = [PROJECT / "README.md", PROJECT / "Makefile", *(PROJECT / "docs").glob("*.md")]
    assert [path.name for path in documents if "0.0.0.0" in path.read_text()] == []  # noqa: S104
