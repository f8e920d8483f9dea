"""Whole searches on real Ray processes, recorded by a real MLflow server; undisturbed, and killed in every way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from conftest import PROJECT, write_spec
from mlflow.tracking import MlflowClient
from optuna.trial import TrialState
from searches import TIMED, Nothing, Search, curve, undisturbed

from contract.events import EpochEnded
from search.journal.journal import read

pytestmark = pytest.mark.ray

RECORDED = {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", *TIMED}
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tracking_server: str) -> Search:
    """A search that nobody disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    spec = write_spec(
        folder / "finished.yaml", budget={"trials": 7}, confirm={"top": 1, "seeds": 2}, tracking={"register": "digits"}
    )
    search = Search(folder, spec, tracking_server)
    process = search.start(report=True)
    search.output = search.finish(process)
    assert process.returncode == 0, search.output
    yield search
    search.process.kill()


def test_every_trial_is_a_run_under_one_parent_with_its_settings_and_curve(finished: Search):
    parents, trials = finished.runs("finished")
    assert len(parents) == 1
    records = finished.records()
    assert {r.data.tags["search.trial_id"] for r in trials} == set(records)
    assert len(trials) == len(records) == 9
    client = MlflowClient(finished.uri)
    for run in trials:
        record = records[run.data.tags["search.trial_id"]]
        assert run.data.params == {key: str(value) for key, value in record.params.items()}
        extra = {"test_loss", "test_accuracy"} if record.phase == "confirm" else set()
        assert set(run.data.metrics) == RECORDED | extra
        history = client.get_metric_history(run.info.run_id, "val_loss")
        assert [(m.step, m.value) for m in history] == [(e, m["val_loss"]) for e, m in sorted(record.epochs.items())]
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.tags["outcome"] == record.outcome
        assert run.info.status == {"completed": "FINISHED", "stopped": "KILLED"}[record.outcome]
        assert run.info.run_name == record.id


def test_asha_stopped_some_and_the_study_says_so(finished: Search):
    records = finished.records()
    study = finished.study()
    assert {r.outcome for r in records.values()} == {"completed", "stopped"}
    for trial in study.trials:
        record = records[f"trial-{trial.number:04d}"]
        expected = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}[record.outcome]
        assert trial.state is expected
        assert trial.intermediate_values == {e: m["val_accuracy"] for e, m in record.epochs.items()}


def test_a_trial_in_a_reused_worker_has_the_curve_of_a_fresh_process(finished: Search, tmp_path: Path):
    for record in finished.records().values():
        assert curve(record) == undisturbed(finished, record, tmp_path), record.id


def test_trials_run_in_the_workers_that_ray_started_with_itself(finished: Search):
    """One a CPU; each further one would import torch while the first trials wait."""
    (log,) = Path(tempfile.gettempdir(), "ray").glob(f"session_*_{finished.process.pid}/logs/raylet.out")
    assert log.read_text().count("Started worker process") == psutil.cpu_count()
    assert len(finished.pids) == min(psutil.cpu_count(), 7)


def test_both_workers_are_asked_for_before_anything_is_heard_of_the_first(finished: Search):
    (journal,) = finished.folder.glob("results/*/*/journal.jsonl")
    events = [event.kind for event, _ in read(journal)]
    assert events[: events.index("epoch")].count("trial") == 2


def test_the_parent_run_holds_the_result_and_the_spec(finished: Search):
    (parent,), _ = finished.runs("finished")
    assert parent.info.status == "FINISHED"
    confirmations = [r for r in finished.records().values() if r.phase == "confirm"]
    mean = sum(r.last["test_accuracy"] for r in confirmations) / 2
    assert parent.data.metrics["test_accuracy_mean"] == pytest.approx(mean)
    best = max(r.last["val_accuracy"] for r in finished.records().values() if r.phase == "search")
    assert parent.data.metrics["best_val_accuracy"] == pytest.approx(best)
    artifacts = MlflowClient(finished.uri).list_artifacts(parent.info.run_id)
    assert [a.path for a in artifacts] == ["report", "search.json", "spec.yaml"]
    assert parent.data.tags["data.fingerprint"]


def test_the_champion_can_be_loaded_and_predicts(finished: Search, tmp_path: Path):
    code = (
        "import mlflow, numpy, torch\n"
        "from trainables.datasets.digits import load\n"
        "from pathlib import Path\n"
        "model = mlflow.pytorch.load_model('models:/digits@champion')\n"
        "data = load(Path('.'))\n"
        "images = torch.from_numpy(data.test_images).permute(0, 3, 1, 2)\n"
        "print('accuracy', (model(images).argmax(1).numpy() == data.test_labels).mean())\n"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": finished.uri, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.split("accuracy")[-1])
    scores = [r.last["test_accuracy"] for r in finished.records().values() if r.phase == "confirm"]
    assert any(accuracy == pytest.approx(score) for score in scores)


def test_without_a_terminal_one_line_a_trial_and_no_flood(finished: Search):
    lines = [line for line in finished.output.splitlines() if line.strip()]
    assert sum("trial-" in line and "after epoch" in line for line in lines) == 7
    assert sum("confirm-" in line and "after epoch" in line for line in lines) == 2
    assert len(lines) < 60, finished.output
    for noise in ("Traceback", "WARNING", "INFO", "(TuneTrial", "raylet", "View run"):
        assert noise not in finished.output, finished.output


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_the_runs_selected_together_compare_well_in_mlflows_own_ui(finished: Search, tmp_path: Path):
    from playwright.sync_api import sync_playwright

    parents, trials = finished.runs("finished")
    searched = [r for r in trials if r.data.tags["phase"] == "search"]
    experiment = searched[0].info.experiment_id
    runs = quote(json.dumps([r.info.run_id for r in searched]))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(f"{finished.uri}/#/compare-runs?runs={runs}&experiments={quote(json.dumps([experiment]))}")
        page.get_by_text(f"Comparing {len(searched)} Runs").wait_for()
        page.get_by_text("Parallel Coordinates Plot").wait_for()
        # The plot's metric is the objective without anybody choosing it, and the names are the trials'.
        page.locator(".js-plotly-plot").get_by_text("val_accuracy", exact=True).first.wait_for()
        text = page.locator("body").inner_text()
        page.goto(f"{finished.uri}/#/experiments/{experiment}/runs/{parents[0].info.run_id}")
        page.get_by_text("confirmed test_accuracy").wait_for()
        # Its report, drawn inside the UI.
        page.goto(
            f"{finished.uri}/#/experiments/{experiment}/runs/{parents[0].info.run_id}/artifacts/report/index.html"
        )
        report = page.frame_locator("iframe")
        report.get_by_role("heading", name="What won").wait_for()
        report.locator("#plot-pareto .main-svg").first.wait_for()
        browser.close()
    for run in searched:
        assert run.info.run_name in text
    for key in ("lr", "batch_size", "val_loss"):
        assert key in text


def test_more_gpus_than_there_are_are_refused_before_anything_is_made(tmp_path: Path, tracking_server: str):
    spec = write_spec(tmp_path / "greedy.yaml", resources={"gpu": 64})
    search = Search(tmp_path, spec, tracking_server)
    process = search.start()
    output = search.finish(process)
    assert process.returncode == 2
    assert "resources.gpu: asks for 64 GPUs a trial, there are" in output
    assert search.state is None
    assert MlflowClient(tracking_server).get_experiment_by_name("greedy") is None


def test_resuming_a_finished_search_says_that_nothing_is_left(finished: Search):
    before = finished.records()
    process = finished.start("--resume")
    output = finished.finish(process)
    assert process.returncode == 0
    assert "Nothing is left to do" in output
    assert "budget.trials" in output
    assert finished.records() == before
    parents, trials = finished.runs("finished")
    assert (len(parents), len(trials)) == (1, 9)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, tracking_server: str) -> Search:
    """A search whose worker is killed, which is then interrupted, resumed, killed, and resumed to its end."""
    folder = tmp_path_factory.mktemp("disturbed")
    spec = write_spec(
        folder / "disturbed.yaml",
        space={"lr": {"loguniform": [1e-4, 1e-2]}, "batch_size": 8},
        scheduler={"name": "none", "max_epochs": 12},
        budget={"trials": 5},
    )
    search = Search(folder, spec, tracking_server)
    try:
        _disturb(search)
        yield search
    finally:
        search.process.kill()


def _disturb(search: Search) -> None:
    process = search.start()
    search.until(process, lambda records: len(records.get("trial-0000", Nothing).epochs) >= 3)
    search.kill_a_worker(process)
    search.until(process, lambda records: len(records.get("trial-0002", Nothing).epochs) >= 2)
    process.send_signal(signal.SIGINT)
    search.interrupted = search.finish(process)
    search.interrupted_code = process.returncode
    search.interrupted_runs = search.runs("disturbed")
    search.interrupted_outcomes = {r.id: r.outcome for r in search.records().values()}

    process = search.start("--resume")
    search.until(process, lambda records: max((len(r.epochs) for r in list(records.values())[3:]), default=0) >= 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    process = search.start("--resume")
    search.output = search.finish(process)
    assert process.returncode == 0, search.output


def test_an_interrupt_closes_the_runs_and_shows_how_to_go_on(disturbed: Search):
    assert disturbed.interrupted_code == 130
    assert "--resume 20" in disturbed.interrupted
    assert "Traceback" not in disturbed.interrupted
    parents, trials = disturbed.interrupted_runs
    assert {r.info.status for r in parents} == {"KILLED"}
    assert {r.info.status for r in trials} <= {"FINISHED", "KILLED"}
    assert "interrupted" in disturbed.interrupted_outcomes.values()
    tags = {r.data.tags["search.trial_id"]: r.data.tags["outcome"] for r in trials}
    assert tags == disturbed.interrupted_outcomes


def test_after_all_kills_every_trial_is_complete_once_everywhere(disturbed: Search):
    records = disturbed.records()
    assert len(records) == 5
    assert {r.outcome for r in records.values()} == {"completed"}
    assert all(sorted(r.epochs) == list(range(1, 13)) for r in records.values())
    assert [t.state for t in disturbed.study().trials] == [TrialState.COMPLETE] * 5
    parents, trials = disturbed.runs("disturbed")
    assert len(parents) == 1
    assert sorted(r.data.tags["search.trial_id"] for r in trials) == sorted(records)
    assert {r.info.status for r in parents + trials} == {"FINISHED"}


def test_no_epoch_is_recorded_twice(disturbed: Search):
    events = [event for event, _ in read(disturbed.state / "journal.jsonl")]
    epochs = [(event.id, event.epoch) for event in events if isinstance(event, EpochEnded)]
    assert len(epochs) == len(set(epochs))
    client = MlflowClient(disturbed.uri)
    for run in disturbed.runs("disturbed")[1]:
        history = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert [m.step for m in history] == list(range(1, 13))


def test_killed_and_resumed_trials_have_the_curves_of_undisturbed_ones(disturbed: Search, tmp_path: Path):
    for record in disturbed.records().values():
        assert curve(record) == undisturbed(disturbed, record, tmp_path), record.id
