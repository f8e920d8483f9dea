"""The report as files, and its command; the page in a browser is in test_page.py."""

import json
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import made
import pandas as pd
import pytest
from by_hand import record as by_hand
from by_hand import trial

from analysis import leaderboard, page, report, report_page, searched
from analysis.record import Record

LR = {"key": "lr", "low": 1e-4, "high": 1e-1, "log": True}


@pytest.fixture(scope="module")
def written(made_search, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report made by the command."""
    folder = tmp_path_factory.mktemp("report")
    options = ["made", "--tracking-uri", made_search.uri, "--out", str(folder), "--no-png"]
    assert report.main([*options, "--data-dir", str(folder)]) == 0
    return folder


class Links(HTMLParser):
    """Every address that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("src", "href")]


def test_the_page_refers_to_nothing_but_itself_and_its_csv_files(written):
    links = Links()
    links.feed((written / "index.html").read_text())
    for link in links.found:
        assert link.startswith(("#", "data:")) or (written / link).is_file(), link
    assert sum(link.startswith("csv/") for link in links.found) == len(list((written / "csv").iterdir()))


def test_every_section_stands_in_its_order_and_has_something(written):
    text = (written / "index.html").read_text()
    assert re.findall(r'<section id="(\w+)"', text) == list(report_page.SECTIONS)
    for section in re.split(r"<section ", text)[1:]:
        assert re.search(r"<(figure|table|p)\b|class=\"absent\"", section), section[:80]


def test_each_csv_file_holds_the_numbers_of_its_figure(written, made_record):
    for module in report_page.plots():
        item = report_page.figure(module, made_record)
        path = written / "csv" / f"{module.__name__.rpartition('.')[2]}.csv"
        assert path.exists() == isinstance(item, page.Figure)
        if isinstance(item, page.Figure):
            assert len(pd.read_csv(path)) == len(item.frame)


def test_a_search_without_saved_weights_says_so_and_the_rest_is_there(written):
    text = (written / "index.html").read_text()
    assert re.search(r'class="absent">.*weights\.pt of run \w+ cannot be fetched', text, re.DOTALL)


def test_the_facts_are_those_of_the_record(made_record):
    facts = searched.facts(made_record).set_index("what")["value"]
    assert facts["trials"] == "36 (the limit), up to 9 epochs each"
    assert facts["trials stopped early"] == "by ASHA, which compared trials after epochs 1, 3"
    assert facts["confirmation"] == "the best 2, each retrained on 3 fresh seeds"
    assert facts["code"] == "commit c0ffee012345"
    assert facts["validated on"] == "10 % of the training images, set aside"
    assert facts["search"] == f"{made_record.id} of experiment made, finished"


def test_validating_on_the_test_set_is_said_loudly():
    found = by_hand([trial([0.5])], data={"title": "digits", "classes": ["0"], "validation": "test"})
    assert "THE TEST SET" in searched.facts(found).set_index("what")["value"]["validated on"]


def test_uncommitted_changes_are_said():
    facts = searched.facts(by_hand([trial([0.5])])).set_index("what")["value"]
    assert facts["code"] == "commit c0ffeec0ffee with uncommitted changes"


def test_every_trial_is_counted_with_its_end_and_the_reason():
    stopped = {**trial([0.1], "stopped"), "reason": "at rung 1"}
    later = {**trial([0.1, 0.1], "stopped"), "reason": "at rung 2"}
    failed = {**trial([], "failed"), "reason": "out of memory"}
    found = by_hand([trial([0.1]), stopped, stopped, later, failed, trial([], "running")])
    assert searched.outcomes(found)[["outcome", "trials", "why", "which trials"]].to_numpy().tolist() == [
        ["completed", 1, "trained to its end", "0"],
        ["stopped", 2, "at rung 1", "1, 2"],
        ["stopped", 1, "at rung 2", "3"],
        ["failed", 1, "out of memory", "4"],
        ["running", 1, "not ended when this page was made", "5"],
    ]


def confirmation(number: int, values: list[float], test: list[float]) -> list[dict]:
    return [
        {**trial([value], lr=0.1 * number), "number": number, "seed": 1000 + i, "test": score}
        for i, (value, score) in enumerate(zip(values, test, strict=True))
    ]


def test_the_verdict_gives_mean_spread_n_and_the_distance_to_the_runner_up():
    runs = confirmation(1, [0.5, 0.6, 0.7], [0.4, 0.5, 0.6]) + confirmation(2, [0.3, 0.4, 0.5], [0.8, 0.8, 0.8])
    found = by_hand([trial([0.9], lr=0.1)], [LR], confirmations=runs)
    said = leaderboard.verdict(found)
    assert said.startswith("Trial 1 won: validation accuracy 60.00 ± 10.00 %, test accuracy 50.00 ± 10.00 % (mean ± ")
    assert "of 3 runs on fresh seeds). The difference to the runner-up, trial 2: +20.00 per" in said
    frame = leaderboard.confirmation(found)
    assert frame["trial"].tolist() == [1, 2], "by the objective, not by the test set"
    assert frame["val_accuracy_mean"].tolist() == pytest.approx([0.6, 0.4])
    assert frame["val_accuracy_sd"].tolist() == pytest.approx([0.1, 0.1])
    assert frame["test_accuracy_mean"].tolist() == pytest.approx([0.5, 0.8])


def test_without_a_confirmation_the_verdict_says_one_run():
    said = leaderboard.verdict(by_hand([trial([0.4]), trial([0.5])]))
    assert said == "Trial 1 has the best validation accuracy of the search: 50.00 %, one run. Nothing was confirmed."


def test_one_confirmed_configuration_has_no_runner_up():
    found = by_hand([trial([0.9], lr=0.1)], [LR], confirmations=confirmation(1, [0.5, 0.6], [0.4, 0.5]))
    assert "there is no runner-up" in leaderboard.verdict(found)


def test_all_trials_stand_in_the_table_the_best_first_the_failed_last():
    found = by_hand([trial([0.4], lr=0.1), trial([], "failed", lr=0.01), trial([0.6], lr=0.001)], [LR])
    table = leaderboard.all_trials(found)
    assert table.frame["trial"].tolist() == [2, 0, 1]
    assert table.frame["lr"].tolist() == [0.001, 0.1, 0.01]
    assert table.csv is not None
    assert len(table.csv) == 3


@pytest.mark.parametrize("outcome", ["failed", "running"])
def test_a_search_without_a_result_still_has_a_page(outcome, tmp_path: Path):
    found = by_hand([trial([], outcome, lr=0.1)], [LR])
    text = report_page.make(found, tmp_path).read_text()
    assert "No trial has finished yet: there is no result." in text
    assert text.count('class="absent"') >= len(report_page.plots()) - 2
    assert outcome in text


def test_names_and_errors_from_the_record_cannot_become_markup(tmp_path: Path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    trials = [{**trial([0.1 * i], optimizer=evil), "reason": evil} for i in range(1, 4)]
    found = by_hand(trials, [{"key": "optimizer", "choices": [evil, "b"]}], name=evil, protocol=evil, resources=evil)
    text = report_page.make(found, tmp_path).read_text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../../x", "x"), ("a/b", "a-b"), (".hidden", "hidden"), ("é" * 300, "report"), ("x" * 300, "x" * 100),
        ("<script>", "script-"), ("ok-1.2", "ok-1.2"),
    ],
)  # fmt: skip
def test_a_name_cannot_leave_its_folder(name, folder):
    assert report.safe(name) == folder


def test_the_command_writes_under_reports_and_prints_where(
    made_search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    assert report.main([made_search.id, "--tracking-uri", made_search.uri, "--no-png"]) == 0
    assert capsys.readouterr().out.strip() == f"reports/{made_search.id}/index.html"
    assert (tmp_path / "reports" / made_search.id / "index.html").is_file()


def test_mistakes_are_told_with_code_2(made_search, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = ["--out", str(tmp_path / "out")]
    assert report.main(["mad", "--tracking-uri", made_search.uri, *out]) == 2
    assert "did you mean made" in capsys.readouterr().err
    assert report.main(["made", "--tracking-uri", f"sqlite:///{tmp_path}/none.db", *out]) == 2
    assert "no record in sqlite" in capsys.readouterr().err
    (tmp_path / "text.db").write_text("no database" * 100)
    assert report.main(["made", "--tracking-uri", f"sqlite:///{tmp_path}/text.db", *out]) == 2
    assert "does not answer" in capsys.readouterr().err
    assert report.main(["made", "--tracking-uri", "nowhere://x", *out]) == 2
    assert "nowhere://x does not answer" in capsys.readouterr().err
    assert report.main(["made", "--tracking-uri", made_search.uri, "--images", str(tmp_path / "none"), *out]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_down_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        assert report.main(["made", "--tracking-uri", f"http://127.0.0.1:{taken.getsockname()[1]}"]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_a_later_report_leaves_nothing_of_an_earlier_one(tmp_path: Path):
    report_page.make(by_hand([trial([0.5], lr=0.1)], [LR]), tmp_path)
    (tmp_path / "csv" / "old.csv").write_text("old")
    report_page.make(by_hand([trial([0.5], lr=0.1)], [LR]), tmp_path)
    assert not (tmp_path / "csv" / "old.csv").exists()


def test_the_data_in_the_page_can_be_read(written, made_record: Record):
    text = (written / "index.html").read_text()
    scripts = re.findall(r'<script type="application/json" id="(figure-[\w-]+)">(.*?)</script>', text, re.DOTALL)
    assert {name for name, _ in scripts} >= {"figure-learning_curves", "figure-best_so_far", "figure-pareto"}
    for _, content in scripts:
        assert {"data", "layout"} <= set(json.loads(content))


def test_a_search_is_made_as_the_other_tests_think(made_record):
    assert set(made_record.trials["outcome"]) == {"completed", "stopped", "diverged", "failed"}
    assert made_record.settings[0].key == next(iter(made.SPACE))
