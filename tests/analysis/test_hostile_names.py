"""Names that anybody who writes to MLflow can choose: they stay text, and what is written stays in its folder."""

import json
import shutil
import sqlite3
from pathlib import Path

import made
import pytest
from mlflow.tracking import MlflowClient

from analysis import compare, record, report
from analysis.errors import Missing
from analysis.explanation import saved_model
from contract import record as contract_record
from trainables import own_code

HOSTILE = (
    "../../x</script><script>window.hurt = 1</script>\"><img src=x onerror='window.hurt = 1'>{{ 7 * 7 }}[red] "
    '<a href="javascript:window.hurt=1">\N{GRINNING FACE}\n=cmd() ' + "x" * 300
)
CHROMIUM = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def renamed(value):
    """All texts of a description that are shown replaced."""
    if isinstance(value, dict):
        kept = ("key", "metric", "sampler")
        return {key: child if key in kept else renamed(child) for key, child in value.items()}
    return (
        [renamed(child) for child in value] if isinstance(value, list) else HOSTILE if isinstance(value, str) else value
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The address and a search's id of a database in which every name is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    uri = f"sqlite:///{folder}/mlflow.db"
    spec = made.spec(folder, budget={"trials": 14})
    id = made.search(spec, folder / "results", folder / "data", uri, failing=frozenset({3}))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("made")
    for run in client.search_runs([experiment.experiment_id]):
        parent = not contract_record.is_trial(run.data.tags)
        client.set_tag(run.info.run_id, "mlflow.runName", f"search {HOSTILE}" if parent else HOSTILE)
        client.set_tag(run.info.run_id, contract_record.REASON, HOSTILE)
        client.set_tag(run.info.run_id, contract_record.DATA, HOSTILE)
        client.set_tag(run.info.run_id, contract_record.HOST, HOSTILE)
        if parent:
            path = Path(client.download_artifacts(run.info.run_id, contract_record.DESCRIPTION_FILE, str(folder)))
            description = renamed(json.loads(path.read_text()))
            path.write_text(json.dumps(description))
            client.log_artifact(run.info.run_id, str(path))
            (folder / contract_record.SPEC_FILE).write_text(HOSTILE)
            client.log_artifact(run.info.run_id, str(folder / contract_record.SPEC_FILE))
    client.rename_experiment(experiment.experiment_id, HOSTILE)
    # What MLflow's own client would refuse, a server that is not ours need not.
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("UPDATE params SET value = ? WHERE key = 'optimizer' AND value = 'adam'", (HOSTILE,))
        database.execute("UPDATE params SET value = ? WHERE key IN ('model', 'augment')", (HOSTILE,))
        for table in ("metrics", "latest_metrics"):
            database.execute(f"UPDATE {table} SET key = ? WHERE key = 'peak_memory_mb'", (HOSTILE[:250],))  # noqa: S608
        database.execute(
            "INSERT INTO params (key, value, run_uuid) SELECT ?, '1', run_uuid FROM runs", (HOSTILE[:250],)
        )
        database.execute("INSERT INTO tags (key, value, run_uuid) SELECT ?, '1', run_uuid FROM runs", (HOSTILE[:250],))
    return uri, id


def one_run(uri: str) -> str:
    """The id of the best run."""
    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    query = "tags.outcome = 'completed' AND tags.phase = 'search'"
    return client.search_runs(experiments, query, max_results=1)[0].info.run_id


def written(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def harmless(page: str) -> None:
    assert "<script>window.hurt" not in page
    assert "<img src=x" not in page
    assert '<a href="javascript' not in page
    assert "window.hurt" in page, "the names are shown"


@pytest.fixture(scope="module")
def pages(hostile, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The report and the comparison, made by their commands where nothing is said of where to write."""
    uri, id = hostile
    above = tmp_path_factory.mktemp("above")
    here = above / "deep" / "here"
    here.mkdir(parents=True)
    patch = pytest.MonkeyPatch()
    patch.chdir(here)
    assert report.main([id, "--tracking-uri", uri, "--no-png"]) == 0
    assert report.main([HOSTILE, "--tracking-uri", uri, "--no-png"]) == 0
    assert compare.main([id, one_run(uri), "--tracking-uri", uri, "--no-png"]) == 0
    patch.undo()
    assert all(path.is_relative_to(here / "reports") for path in written(above))
    return [path for path in written(here) if path.name == "index.html"]


def test_names_are_text_in_the_pages(pages):
    assert len(pages) == 2
    for page in pages:
        harmless(page.read_text())


def test_names_are_text_in_csv_files(pages):
    for page in pages:
        for path in (page.parent / "csv").iterdir():
            assert path.suffix == ".csv"
            assert path.name.replace("_", "").replace("-", "").removesuffix(".csv").isalnum()


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_a_browser_runs_none_of_them(pages):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        for path in pages:
            page = browser.new_page()
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri())
            page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=120_000)
            for select in page.locator("select").all():
                for i in range(select.locator("option").count()):
                    select.select_option(index=i)
            assert page.evaluate("window.hurt === undefined")
            assert page.evaluate("document.querySelectorAll('img[onerror], a[href^=javascript]').length") == 0
            assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
        browser.close()


@pytest.mark.parametrize(
    "name", ["../../x", "..", "", "x" * 300, "a/b", ".hidden", "-rf", "\n", "a\0b", "con", "\N{GRINNING FACE}"]
)
def test_a_folder_of_any_name_stays_in_its_place(name):
    for safe in (report.safe(name), compare.safe([name])):
        assert Path(safe).name == safe
        assert safe.isascii()
        assert safe.isprintable()
        assert not safe.startswith((".", "-"))
        assert 0 < len(safe) <= 120


def test_an_id_with_a_quote_asks_for_nothing_else(made_search):
    from analysis.errors import AnalysisError

    for name in ("x' OR tags.`search.id` LIKE '%", "made' --", "%", "'", "`"):
        with pytest.raises(AnalysisError):
            record.load(name, tracking_uri=made_search.uri)


def test_a_report_runs_no_code_that_a_record_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text("open('imported', 'w')")
    try:
        own_code.allow(str(tmp_path))  # as in the driver of a search with --allow-code, which makes the report too
        for name in ("evil.net", "evil:build", "os:system"):
            with pytest.raises(Missing, match=f"{name} is code of the search's own, which a report does not run"):
                saved_model._no_code(name)
    finally:
        own_code.allow(None)
    assert not (tmp_path / "imported").exists()
