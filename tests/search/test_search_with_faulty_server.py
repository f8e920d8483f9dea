"""Whole searches whose tracking server is away, slow or out of order: they neither wait nor stop."""

import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import free_port, write_picture_folders, write_spec
from faulty_proxy import FaultyProxy
from mlflow.tracking import MlflowClient

from search import run
from search.cli import finish
from search.journal.journal import Journal
from search.tracking.tracker import Tracker


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEARCH_DATA_DIR", raising=False)
    write_picture_folders(tmp_path / "data" / "mine", ("black", "blue", "red"), {"train": 40, "test": 4})


def spec_of(path: Path, uri: str, trials: int = 2, epochs: int = 2, **tracking: object) -> Path:
    return write_spec(
        path,
        data={"name": "image_folder", "folder": "mine", "validation": 0.2},
        scheduler={"name": "none", "max_epochs": epochs},
        budget={"trials": trials},
        tracking={"uri": uri, **tracking},
    )


def search(spec: Path, *options: str) -> int:
    return run.main([str(spec), "--in-process", "--no-report", *options])


def only_journal(name: str) -> Path:
    (path,) = Path("results", name).glob("*/journal.jsonl")
    return path


def assert_mlflow_holds(uri: str, path: Path) -> None:
    """Every trial of the journal, once, closed, with all its epochs."""
    client = MlflowClient(uri)
    journal = Journal(path)
    experiment = client.get_experiment_by_name(path.parent.parent.name)
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(r.data.tags.get("search.trial_id", "") for r in runs) == ["", *sorted(journal.records)]
    assert {r.info.status for r in runs} == {"FINISHED"}
    for r in runs:
        if id := r.data.tags.get("search.trial_id"):
            steps = [m.step for m in client.get_metric_history(r.info.run_id, "val_accuracy")]
            assert steps == sorted(journal.records[id].epochs)
    journal.close()


def test_a_server_that_is_down_is_an_error_before_anything_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture):
    uri = f"http://127.0.0.1:{free_port()}"
    assert search(spec_of(tmp_path / "down.yaml", uri)) == 2
    error = capsys.readouterr().err
    assert f"tracking.uri: {uri}: the server does not answer" in error
    assert "mlflow server" in error
    assert "tracking.required: false" in error
    assert not Path("results").exists()


def test_a_server_that_need_not_be_there_is_warned_of_beside_what_is_wrong_with_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    spec = spec_of(tmp_path / "both.yaml", f"http://127.0.0.1:{free_port()}", required=False)
    assert search(spec, "--set", "data.folder=nowhere") == 2
    said = capsys.readouterr()
    assert "the server does not answer" in said.out
    assert "data" in said.err


def test_a_server_that_need_not_be_there_is_told_later(
    tmp_path: Path, tracking_server: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(finish, "TRACKING_PATIENCE_S", 1.0)
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    spec = spec_of(tmp_path / "later.yaml", uri, required=False, register="later-best")
    assert run.main([str(spec), "--in-process"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"the server does not answer.*The record is kept, and sent when the server is there", out)
    assert "Best settings" in out
    assert "Not all was sent to the tracking server" in out
    assert "Until then the model is not registered and the report is not made." in out
    assert "send the record" in out
    assert "--resume" in out

    monkeypatch.setattr(finish, "TRACKING_PATIENCE_S", 60.0)
    with FaultyProxy(tracking_server, port=port):
        assert search(spec, "--resume") == 0
        assert "Nothing is left to do" in capsys.readouterr().out
        assert_mlflow_holds(uri, only_journal("later"))
        assert search(spec, "--resume") == 0
    client = MlflowClient(tracking_server)
    assert len(client.search_model_versions("name = 'later-best'")) == 1, "a second launch registers nothing anew"
    assert client.get_model_version_by_alias("later-best", "champion").version == "1"


def test_an_address_that_can_never_work_is_refused_even_if_no_server_is_required(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    assert search(spec_of(tmp_path / "never.yaml", "ftp://there", required=False)) == 2
    assert "only http(s):// servers and sqlite:/// files" in capsys.readouterr().err


def test_ctrl_c_while_the_record_is_sent_leaves_it_for_resume(
    tmp_path: Path, tracking_server: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    with FaultyProxy(tracking_server) as proxy:
        spec = spec_of(tmp_path / "impatient.yaml", proxy.uri)
        proxy.fault = lambda method, path: "fail" if path.endswith("runs/create") else ""
        close = Tracker.close

        def interrupted(tracker, patience, waiting):
            def press(left: int) -> None:
                waiting(left)
                raise KeyboardInterrupt

            return close(tracker, patience, press)

        monkeypatch.setattr(Tracker, "close", interrupted)
        assert search(spec) == 0
        out = capsys.readouterr().out
        assert "Not all was sent to the tracking server: Ctrl-C" in out
        assert "send the record" in out
        monkeypatch.setattr(Tracker, "close", close)
        proxy.fault = lambda method, path: ""
        assert search(spec, "--resume") == 0
        assert_mlflow_holds(proxy.uri, only_journal("impatient"))


def slow(proxy: FaultyProxy, path: Callable[[], Path]) -> None:
    proxy.delay = 2.0


def failing(proxy: FaultyProxy, path: Callable[[], Path]) -> None:
    draw = random.Random(0)
    proxy.fault = lambda method, path: draw.choice(["fail", "fail after", "drop after"]) if draw.random() < 0.3 else ""


def away_in_the_middle(proxy: FaultyProxy, path: Callable[[], Path]) -> None:
    def watch() -> None:
        while not (done := path()) or done.read_text().count('"epoch"') < 5:
            time.sleep(0.02)
        proxy.fault = lambda method, path: "drop"
        while '"best"' not in done.read_text().splitlines()[-1] and done.read_text().count('"end"') < 5:
            time.sleep(0.02)
        proxy.fault = lambda method, path: ""

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.slow
def test_no_fault_of_the_server_slows_a_search(tmp_path: Path, tracking_server: str, capsys: pytest.CaptureFixture):
    """Each is compared with the same search before and after them, with the server in order; the first warms up."""
    seconds: dict[str, float] = {}
    with FaultyProxy(tracking_server) as proxy:
        for fault in (None, None, slow, failing, away_in_the_middle, None):
            name = f"speed-{fault.__name__ if fault else 'none'}-{len(seconds)}"
            spec = spec_of(tmp_path / f"{name}.yaml", proxy.uri, trials=6, epochs=12)
            if fault:
                fault(proxy, lambda name=name: next(Path("results", name).glob("*/journal.jsonl"), None))
            assert search(spec) == 0
            proxy.delay, proxy.fault = 0.0, lambda method, path: ""
            assert_mlflow_holds(proxy.uri, only_journal(name))
            journal = Journal(only_journal(name))
            ends = [record.ended - record.started for record in journal.records.values()]
            journal.close()
            seconds[name] = sum(ends)
    undisturbed = max(seconds["speed-none-1"], seconds["speed-none-5"])
    ratios = {name: round(s / undisturbed, 2) for name, s in seconds.items() if name != "speed-none-0"}
    with capsys.disabled():
        print(f"\nseconds of training, as a share of the undisturbed search's: {ratios}")
    assert max(ratios.values()) < 2, ratios
