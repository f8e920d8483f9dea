"""A session's decisions, driven by made-up metrics: nothing is trained here."""

import errno
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from contract.events import BestFound, DriverStarted, EpochEnded, MicroBatchSet, StateLost, TrialStarted
from contract.outcomes import Outcome
from contract.steps import EpochDone, StateNotSaved, TrialFailed
from search.journal.journal import Journal, encode, read
from search.orchestration.phases import Phases
from search.orchestration.proposal import Proposal
from search.orchestration.proposers import ListProposer
from search.orchestration.session import HOPELESS_FAILURES, Session, deadline
from search.orchestration.session_config import SessionConfig
from search.orchestration.slots import Node, Share, Slots
from search.study.asha import Asha
from search.trial.data_source import DataSource
from trainables import checkpoint_file

SOURCE = DataSource("digits", "/data", (("folder", "mine"),), 0.1, 7)
EPOCHS = 4
NAN, INF = math.nan, math.inf


def epoch(number: int, accuracy: float = 0.5, *, length: int = EPOCHS, **others: float) -> EpochDone:
    """What a worker reports of a trial that trains for so many epochs."""
    metrics = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": accuracy, **others}
    return EpochDone(epoch=number, metrics=metrics, finished=number >= length)


class Made:
    """Proposes so many trials, and remembers what it is told."""

    def __init__(self, trials: int = 100, first: int = 0, prefix: str = "t"):
        self.waiting = [
            Proposal(f"{prefix}{n}", n, {"lr": 0.1, "epochs": EPOCHS}) for n in range(first, first + trials)
        ]
        self.proposed: list[str] = []
        self.reported: list[tuple[str, int]] = []
        self.ended: list[tuple[str, Outcome | None]] = []

    def propose(self) -> Proposal | None:
        if not self.waiting:
            return None
        self.proposed.append(self.waiting[0].id)
        return self.waiting.pop(0)

    def prepare(self) -> None:
        pass

    def put_back(self, proposal: Proposal) -> None:
        self.waiting.insert(0, proposal)

    def report(self, record, epoch, metrics):
        self.reported.append((record.id, epoch))

    def end(self, record):
        self.ended.append((record.id, record.outcome))


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path / "journal.jsonl")
    yield journal
    journal.close()


def begin(
    journal: Journal,
    proposer=None,
    *,
    rungs=(),
    factor=3,
    out_of_time=lambda: False,
    concurrent=2,
    share=Share(0, 1),  # noqa: B008 (it is never changed)
    **setting,
) -> Session:
    chosen = {
        "phase": "search",
        "metric": "val_accuracy",
        "maximize": True,
        "data": SOURCE,
        "classes": 10,
        "keep": 2,
        "slots": Slots({"lenet": share, "mlp": share}, [], concurrent, elastic=True),
        **setting,
    }
    proposer = Made() if proposer is None else proposer
    return Session(
        SessionConfig(folder=journal.path.parent, **chosen),
        journal,
        proposer,
        Asha(rungs, factor, chosen["maximize"]),
        out_of_time,
    )


def reopened(journal: Journal) -> Journal:
    """The journal as the next driver finds it."""
    journal.close()
    again = Journal(journal.path)
    again.interrupt_unfinished()
    return again


def run_through(session: Session, accuracy: float = 0.5, epochs: int = EPOCHS) -> str:
    """One trial from its start on, so many epochs."""
    id = session.next().id
    for number in range(1, epochs + 1):
        session.report(id, epoch(number, accuracy))
    return id


def make_checkpoint(session: Session, id: str) -> Path:
    path = Path(session.checkpoints.files.name(id))
    path.parent.mkdir(exist_ok=True)
    path.write_text(id)
    return path


# Starting trials


def test_no_more_trials_run_at_a_time_than_may(journal):
    session = begin(journal, concurrent=3)
    assert [session.next().id for _ in range(3)] == ["t0", "t1", "t2"]
    assert session.next() is None
    assert not session.exhausted
    session.fail("t1", "broke")
    assert session.next().id == "t3"
    assert session.next() is None


def test_a_session_is_exhausted_when_there_is_nothing_more_to_propose(journal):
    session = begin(journal, Made(trials=1))
    session.next()
    assert not session.exhausted
    assert session.next() is None
    assert session.exhausted


def test_a_task_has_all_that_a_worker_needs(journal):
    task = begin(journal, share=Share(0.5, 3), score_test=True).next()
    assert DataSource.from_content(task.data) == SOURCE
    assert (task.id, task.threads, task.gpu, task.device, task.score_test) == ("t0", 3, 0.5, "cuda", True)
    assert (task.params["lr"], task.params["epochs"]) == (0.1, EPOCHS)
    assert Path(task.checkpoint).parent.parent == journal.path.parent


@pytest.mark.parametrize(
    ("params", "there", "not_there"),
    [
        ({"optimizer": "adam"}, {"batch_size", "decay_interval"}, {"momentum", "nesterov", "crop_padding"}),
        ({"optimizer": "sgd", "schedule": "constant"}, {"momentum", "nesterov"}, {"decay_interval", "decay_factor"}),
        ({"pooling": "average"}, {"pooling"}, {"model_options"}),
    ],
)
def test_the_journal_has_every_hyperparameter_in_effect_and_no_other(journal, params, there, not_there):
    begin(journal, ListProposer([Proposal("t0", 0, params)], journal)).next()
    recorded = set(journal.records["t0"].params)
    assert there <= recorded
    assert not not_there & recorded


# How a trial goes on


@pytest.mark.parametrize(
    ("history", "outcome", "reason"),
    [
        ([epoch(1), epoch(2), epoch(3), epoch(4)], Outcome.COMPLETED, ""),
        ([epoch(1), epoch(2, accuracy=0.1)], Outcome.STOPPED, "rung 2"),
        ([epoch(1), epoch(2, train_loss=NAN)], Outcome.DIVERGED, "epoch 2"),
        ([epoch(1, val_loss=INF)], Outcome.DIVERGED, "epoch 1"),
        ([epoch(1), epoch(2), epoch(3), epoch(4, val_loss=NAN)], Outcome.DIVERGED, "epoch 4"),
        ([epoch(1), epoch(2, accuracy=0.1, train_loss=-INF)], Outcome.DIVERGED, "epoch 2"),
    ],
    ids=["completed", "stopped", "diverged", "diverged-at-once", "diverged-at-the-end", "diverged-at-a-rung"],
)
def test_the_outcome_follows_from_the_epochs(journal, history, outcome, reason):
    proposer = Made()
    session = begin(journal, proposer, rungs=(2,))
    for _ in range(2):
        run_through(session, accuracy=0.4)
    id = session.next().id
    for metrics in history[:-1]:
        assert session.report(id, metrics)
    assert not session.report(id, history[-1])
    assert journal.records[id].outcome is outcome
    assert reason in journal.records[id].reason
    assert proposer.ended[-1] == (id, outcome)
    assert id not in session.running


def test_a_completed_trial_may_have_a_length_of_its_own(journal):
    session = begin(journal, ListProposer([Proposal("short", 0, {"epochs": 2})], journal))
    session.next()
    assert session.report("short", epoch(1, length=2))
    assert not session.report("short", epoch(2, length=2))
    assert journal.records["short"].outcome is Outcome.COMPLETED
    assert journal.records["short"].reason == ""


@pytest.mark.parametrize("rungs", [(), (2,)], ids=["between rungs", "at a rung it would be stopped at"])
def test_a_trial_that_stops_early_by_itself_is_completed(journal, rungs):
    proposer = Made()
    session = begin(journal, proposer, rungs=rungs)
    for _ in range(2):
        run_through(session, accuracy=0.9)
    id = session.next().id
    assert session.report(id, epoch(1, 0.1))
    assert not session.report(id, epoch(2, 0.1, length=2))
    record = journal.records[id]
    assert record.outcome is Outcome.COMPLETED
    assert record.reason == "early stopping at epoch 2"
    assert sorted(record.epochs) == [1, 2]
    assert proposer.ended[-1] == (id, Outcome.COMPLETED)


def test_the_length_of_a_trial_is_for_its_worker_to_know(journal):
    """The session does not count epochs: that would be a second opinion on when a trial is over."""
    session = begin(journal)
    id = session.next().id
    for number in range(1, EPOCHS + 1):
        assert session.report(id, epoch(number, length=EPOCHS + 1))
    assert not session.report(id, epoch(EPOCHS + 1, length=EPOCHS + 1))


def test_what_is_written_down_of_an_epoch_are_its_metrics_alone(journal):
    proposer = Made()
    session = begin(journal, proposer)
    id = run_through(session)
    for metrics in journal.records[id].epochs.values():
        assert set(metrics) == set(epoch(1).metrics)


def test_a_trial_that_diverges_in_its_last_epoch_has_not_completed(journal):
    session = begin(journal)
    id = session.next().id
    assert not session.report(id, epoch(1, train_loss=NAN, length=1))
    assert journal.records[id].outcome is Outcome.DIVERGED


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss", "train_loss"])
@pytest.mark.parametrize("value", [None, "much", True, "left out"])
def test_a_metric_that_is_missing_ends_the_trial_and_nothing_else(journal, metric, value):
    proposer = Made()
    session = begin(journal, proposer, rungs=(1, 2))
    id = session.next().id
    session.report(id, epoch(1, 0.9))
    done = epoch(2, **{metric: value})
    left = {k: v for k, v in done.metrics.items() if v != "left out"}
    assert not session.report(id, replace(done, metrics=left))
    assert journal.records[id].outcome is Outcome.DIVERGED
    assert journal.records[id].reason == f"{metric} is missing at epoch 2"
    assert math.isnan(journal.records[id].last[metric]), "whoever reads it finds a number of its kind"
    assert proposer.reported == [(id, 1)]
    assert proposer.ended == [(id, Outcome.DIVERGED)]
    assert run_through(session, 0.2) == "t1"
    assert [e.id for e, _ in read(journal.path) if isinstance(e, BestFound)] == ["t1"]


@pytest.mark.parametrize("number", [None, 0, -1, 1.5, True, "1"])
def test_a_report_without_the_number_of_its_epoch_fails_its_trial(journal, number):
    session = begin(journal)
    assert not session.report(session.next().id, replace(epoch(1), epoch=number))
    assert journal.records["t0"].outcome is Outcome.FAILED
    assert repr(number) in journal.records["t0"].reason
    assert not journal.records["t0"].epochs


def test_a_trial_that_does_not_report_the_objective_fails_with_what_it_did_report(journal):
    session = begin(journal, metric="rmse", maximize=False)
    assert not session.report(session.next().id, epoch(1))
    assert journal.records["t0"].outcome is Outcome.FAILED
    reason = "it did not report rmse, the objective, but train_accuracy, train_loss, val_accuracy, val_loss"
    assert journal.records["t0"].reason == reason


def test_a_metric_of_any_name_can_be_the_objective_and_come_and_go_beside_it(journal):
    session = begin(journal, metric="rmse", maximize=False)
    id = session.next().id
    assert session.report(id, epoch(1, rmse=2.0, extra=7.0))
    assert session.report(id, epoch(2, rmse=1.0))
    assert journal.records[id].epochs[1]["extra"] == 7.0
    assert "extra" not in journal.records[id].epochs[2]
    for number in (3, 4):
        session.report(id, epoch(number, rmse=0.5))
    assert [(e.metric, e.value) for e, _ in read(journal.path) if isinstance(e, BestFound)] == [("rmse", 0.5)]


def test_an_exploded_loss_ends_the_trial_and_enters_no_rung(journal):
    session = begin(journal, rungs=(1,), factor=2, concurrent=10)
    for accuracy in (0.5, 0.6, 0.7):
        assert not session.report(session.next().id, epoch(1, accuracy, train_loss=1e6))
    last = session.next().id
    assert {r.outcome for r in journal.records.values() if r.id != last} == {Outcome.DIVERGED}
    assert session.report(last, epoch(1, 0.1)), "among those that did not explode it is the best"


def test_a_dead_network_is_given_up(journal):
    session = begin(journal)
    id = session.next().id
    reports = [session.report(id, epoch(n, 0.1, train_loss=2.3026, length=20)) for n in range(1, 6)]
    assert reports == [True, True, True, True, False]
    assert "alike for every image" in journal.records[id].reason
    assert journal.records[id].outcome is Outcome.DIVERGED


def test_the_smaller_value_goes_on_where_the_objective_is_minimised(journal):
    session = begin(journal, rungs=(1,), metric="val_loss", maximize=False)
    first, second = session.next().id, session.next().id
    assert session.report(first, epoch(1, val_loss=0.5))
    assert not session.report(second, epoch(1, val_loss=0.9))
    assert session.report(session.next().id, epoch(1, val_loss=0.1))


def test_a_failure_is_recorded_with_its_last_line_and_the_whole_of_it_in_a_file(journal, tmp_path):
    proposer = Made()
    session = begin(journal, proposer)
    id = session.next().id
    session.report(id, epoch(1))
    session.fail(id, "Traceback\n  File 'x'\nRuntimeError: the model broke\n")
    record = journal.records[id]
    assert record.outcome is Outcome.FAILED
    path = tmp_path / "errors" / f"{id}.txt"
    assert path.read_text() == "Traceback\n  File 'x'\nRuntimeError: the model broke\n"
    assert record.reason.startswith("RuntimeError: the model broke")
    assert str(path) in record.reason
    assert proposer.ended == [(id, Outcome.FAILED)]


def test_an_interrupt_leaves_all_that_runs_to_be_gone_on_with(journal):
    proposer = Made()
    session = begin(journal, proposer, concurrent=3)
    done = run_through(session)
    running = [session.next().id for _ in range(2)]
    session.interrupt()
    assert session.running == set()
    assert journal.records[done].outcome is Outcome.COMPLETED
    assert [journal.records[id].outcome for id in running] == [Outcome.INTERRUPTED] * 2
    assert proposer.ended[1:] == [(id, Outcome.INTERRUPTED) for id in running]


def test_hearing_of_an_epoch_twice_is_harmless(journal):
    proposer = Made()
    session = begin(journal, proposer, rungs=(1,))
    good, poor = session.next().id, session.next().id
    for _ in range(3):
        assert session.report(good, epoch(1, 0.9))
    assert not session.report(poor, epoch(1, 0.1))
    assert not session.report(poor, epoch(1, 0.1))
    events = [event.kind for event, _ in read(journal.path)]
    assert (events.count("epoch"), events.count("end")) == (2, 1)
    assert proposer.reported == [(good, 1), (poor, 1)]
    assert proposer.ended == [(poor, Outcome.STOPPED)]


def test_what_is_heard_after_a_trials_end_changes_nothing(journal):
    proposer = Made()
    session = begin(journal, proposer)
    id = run_through(session)
    before = (journal.path.read_bytes(), list(proposer.ended))
    assert not session.report(id, epoch(EPOCHS + 1, 0.9))
    session.fail(id, "its worker died")
    session.end(id, Outcome.INTERRUPTED)
    assert (journal.path.read_bytes(), proposer.ended) == before
    assert journal.records[id].outcome is Outcome.COMPLETED


def test_a_new_best_trial_is_announced_and_a_lesser_one_is_not(journal):
    session = begin(journal)
    for accuracy in (0.5, 0.4, 0.7, 0.6):
        run_through(session, accuracy)
    best = [(event.id, event.value) for event, _ in read(journal.path) if isinstance(event, BestFound)]
    assert best == [("t0", 0.5), ("t2", 0.7)]


# Checkpoints


def test_only_the_best_so_many_keep_their_checkpoint(journal):
    session = begin(journal, keep=2)
    kept = {}
    for accuracy in (0.5, 0.4, 0.7, 0.6, 0.1, 0.65):
        id = session.next().id
        kept[id] = make_checkpoint(session, id)
        for number in range(1, EPOCHS + 1):
            session.report(id, epoch(number, accuracy))
        assert sum(path.exists() for path in kept.values()) <= 2
    assert [id for id, path in kept.items() if path.exists()] == ["t2", "t5"]


def test_trials_without_a_usable_value_keep_no_checkpoint_and_take_none_from_others(journal):
    session = begin(journal, keep=1, concurrent=4)
    paths = [make_checkpoint(session, session.next().id) for _ in range(4)]
    for number in range(1, EPOCHS + 1):
        session.report("t0", epoch(number, 0.1))
    session.report("t1", epoch(1, 0.9))
    session.fail("t1", "broke")
    session.report("t2", epoch(1, 0.9, val_loss=NAN))
    assert [path.exists() for path in paths] == [True, False, False, True]  # t3 is running


def test_an_interrupted_trial_keeps_its_checkpoint(journal):
    session = begin(journal, keep=1)
    for _ in range(2):
        run_through(session, 0.9)
    path = make_checkpoint(session, session.next().id)
    session.report("t2", epoch(1, 0.1))
    session.interrupt()
    assert path.exists()


def test_a_resumed_session_still_knows_the_best_checkpoints(journal):
    session = begin(journal, keep=1)
    best = make_checkpoint(session, run_through(session, 0.9))
    again = begin(reopened(journal), Made(first=1), keep=1)
    worse = make_checkpoint(again, "t1")
    assert run_through(again, 0.5) == "t1"
    assert (best.exists(), worse.exists()) == (True, False)
    better = make_checkpoint(again, "t2")
    run_through(again, 0.95)
    assert (best.exists(), better.exists()) == (False, True)
    assert [event.id for event, _ in read(journal.path) if isinstance(event, BestFound)] == ["t0", "t2"]


def test_the_generation_before_the_last_goes_when_its_trial_ends(journal):
    session = begin(journal, keep=1, concurrent=3)
    before = {}
    for _ in range(3):
        path = make_checkpoint(session, session.next().id)
        before[path.stem] = path.with_name(f"{path.name}.previous")
        before[path.stem].write_text("one epoch less")
    for number in range(1, EPOCHS + 1):
        session.report("t0", epoch(number))
    session.fail("t1", "broke")
    session.interrupt()
    assert [path.exists() for path in before.values()] == [False, False, True]
    before["t0"].write_text("a driver was killed before it removed this")
    begin(reopened(journal), keep=1)
    assert not before["t0"].exists()
    assert Path(session.checkpoints.files.name("t0")).exists()


@pytest.mark.parametrize("cannot", ["be written down", "be told to the study"])
def test_a_disk_that_is_full_ends_the_search_and_nothing_that_was_written_is_lost(journal, monkeypatch, cannot):
    proposer = Made()
    phases = Phases(s for s in [begin(journal, proposer)])
    phases.next()
    phases.report("t0", epoch(1))
    full = OSError(errno.ENOSPC, "No space left on device", "journal.jsonl")

    def refuse(*_: object, **__: object) -> None:
        raise full

    monkeypatch.setattr(*((journal, "_write") if cannot == "be written down" else (proposer, "report")), refuse)
    assert not phases.report("t0", epoch(2))
    assert "No space left on device" in phases.halted
    assert "--resume" in phases.halted
    assert phases.next() is None
    assert phases.exhausted
    phases.close()
    monkeypatch.undo()
    again = begin(reopened(journal), Made(trials=0))
    assert again.next().id == "t0"
    assert 1 in again.journal.records["t0"].epochs


def test_two_hundred_trials_stay_within_the_budget_of_bytes(journal):
    budget, size = 10_000, 1_000
    phases = Phases(s for s in [begin(journal, Made(trials=200), keep=5, concurrent=3, checkpoint_bytes=budget)])
    folder, running, most = journal.path.parent / "checkpoints", {}, 0
    while not phases.exhausted:
        while (task := phases.next()) is not None:
            running[task.id] = 0
        for id in list(running):
            running[id] += 1
            checkpoint_file.write(folder / f"{id}.pt", bytes(size))
            accuracy = (int(id[1:]) * 37 % 200) / 200
            if not phases.report(id, epoch(running[id], accuracy)):
                del running[id]
            # Two generations of each of three running ones are 6,192 bytes: there is room for three of the five best.
            most = max(most, sum(path.stat().st_size for path in folder.iterdir()))
    assert phases.halted is None
    assert len([r for r in journal.records.values() if r.outcome is Outcome.COMPLETED]) == 200
    assert most <= budget
    best = sorted(journal.records.values(), key=lambda r: -r.last["val_accuracy"])
    assert (folder / f"{best[0].id}.pt").exists(), "the best one is let go of last"


def test_running_trials_that_need_more_than_the_budget_end_the_search_which_goes_on_with_more(journal):
    phases = Phases(s for s in [begin(journal, Made(trials=2), keep=1, checkpoint_bytes=1_500)])
    folder = journal.path.parent / "checkpoints"
    for _ in range(2):
        checkpoint_file.write(folder / f"{phases.next().id}.pt", bytes(1_000))
    phases.report("t0", epoch(1))
    assert "budget.checkpoint_bytes is 1,500: raise it" in phases.halted
    phases.close()
    assert {r.outcome for r in journal.records.values()} == {Outcome.INTERRUPTED}
    again = begin(reopened(journal), Made(trials=0), keep=1, checkpoint_bytes=10_000)
    assert [again.next().id, again.next().id] == ["t0", "t1"]
    assert all((folder / f"{id}.pt").exists() for id in ("t0", "t1"))


# Going on after a driver's end


def test_a_resumed_session_begins_with_what_was_unfinished(journal):
    session = begin(journal, concurrent=3)
    run_through(session)
    session.next()
    session.next()
    session.report("t1", epoch(1))
    session.end("t2", Outcome.INTERRUPTED)
    proposer = Made(first=3)
    again = begin(reopened(journal), proposer, concurrent=4)
    tasks = [again.next() for _ in range(4)]
    assert [task.id for task in tasks] == ["t1", "t2", "t3", "t4"]
    assert proposer.proposed == ["t3", "t4"]
    assert tasks[0].params == again.journal.records["t1"].params
    assert tasks[0].checkpoint == session.checkpoints.files.name("t1")


def test_a_trial_that_goes_on_reports_its_last_epoch_again_and_then_the_next(journal):
    begin(journal).next()
    session = begin(reopened(journal))
    id = session.next().id
    session.report(id, epoch(1))
    session.report(id, epoch(2))
    proposer = Made(first=1)
    again = begin(reopened(session.journal), proposer)
    assert again.next().id == id
    assert again.report(id, epoch(2))
    assert proposer.reported == []
    assert again.report(id, epoch(3))
    assert not again.report(id, epoch(4))
    assert sorted(again.journal.records[id].epochs) == [1, 2, 3, 4]
    assert proposer.ended == [(id, Outcome.COMPLETED)]


def test_an_epoch_that_was_written_down_but_not_decided_on_is_decided_when_it_comes_again(journal):
    session = begin(journal, rungs=(1,))
    run_through(session, 0.9)
    id = session.next().id
    journal.append(EpochEnded(id=id, epoch=1, metrics=epoch(1, 0.1).metrics))  # and here the driver was killed
    again = begin(reopened(journal), rungs=(1,))
    assert again.next().id == id
    assert not again.report(id, epoch(1, 0.1))
    assert again.journal.records[id].outcome is Outcome.STOPPED


def test_finished_trials_are_not_run_again(journal):
    session = begin(journal, rungs=(1,))
    run_through(session, 0.5)
    run_through(session, 0.1, epochs=1)
    session.fail(session.next().id, "broke")
    session.next()
    session.report("t3", epoch(1, train_loss=NAN))
    again = begin(reopened(journal), Made(trials=0))
    assert again.next() is None
    assert again.exhausted


def test_epochs_that_are_trained_again_are_written_down_and_decided_on_once(journal):
    proposer = Made()
    session = begin(journal, proposer, rungs=(1,), factor=2, concurrent=4)
    id = session.next().id
    for number in (1, 2, 3):
        assert session.report(id, epoch(number, 0.3))
    for _ in range(3):  # better ones: in their company it would not pass the rung any more
        session.report(session.next().id, epoch(1, 0.9))
    session.note_restore(id, "checkpoint damaged: starts again from the beginning")
    for number in (1, 2, 3):
        assert session.report(id, epoch(number, 0.3))
    assert not session.report(id, epoch(4, 0.3))
    events = [event for event, _ in read(journal.path)]
    assert [e.epoch for e in events if isinstance(e, EpochEnded) and e.id == id] == [1, 2, 3, 4]
    lost = [e.text for e in events if isinstance(e, StateLost)]
    assert lost == ["checkpoint damaged: starts again from the beginning"]
    assert journal.records[id].outcome is Outcome.COMPLETED


def test_a_worker_is_told_how_far_its_trial_was(journal):
    session = begin(journal)
    assert session.next().epochs_done == 0
    session.report("t0", epoch(1))
    session.report("t0", epoch(2))
    assert begin(reopened(journal)).next().epochs_done == 2


HISTORIES = {
    # of each trial before the last: its value at the rung, what else is odd about that epoch, how long it may train
    "stopped and going on": [(0.9, {}, EPOCHS), (0.8, {}, EPOCHS), (0.2, {}, EPOCHS)],
    "one diverged at the rung": [(0.5, {}, EPOCHS), (0.1, {"train_loss": NAN}, EPOCHS)],
    "one exploded at the rung": [(0.5, {}, EPOCHS), (0.7, {"train_loss": 1e6}, EPOCHS)],
    "one left out the objective at the rung": [(0.5, {}, EPOCHS), (None, {}, EPOCHS)],
    "several diverged at the rung": [(0.5, {}, EPOCHS), *[(0.1, {"val_loss": INF}, EPOCHS)] * 4],
    "one completed at the rung": [(0.5, {}, EPOCHS), (0.1, {}, 1)],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))
@pytest.mark.parametrize("accuracy", [0.05, 0.3, 0.6, 0.95])
def test_a_resumed_session_decides_at_a_rung_as_one_that_was_never_ended(journal, history, accuracy):
    lengths = [*(length for *_, length in history), EPOCHS]
    proposals = [Proposal(f"t{n}", n, {"epochs": length}) for n, length in enumerate(lengths)]
    session = begin(journal, ListProposer(proposals, journal), rungs=(1,), factor=2, concurrent=10)
    for value, others, length in history:
        session.report(session.next().id, epoch(1, value, length=length, **others))
    last = session.next().id
    killed_here = journal.path.read_bytes()
    uninterrupted = session.report(last, epoch(1, accuracy))

    journal.close()
    journal.path.write_bytes(killed_here)
    again = begin(reopened(journal), Made(trials=0), rungs=(1,), factor=2, concurrent=10)
    while again.next() is not None:
        pass
    assert last in again.running
    assert again.report(last, epoch(1, accuracy)) is uninterrupted


# Memory


def of(id: str, **params) -> Proposal:
    return Proposal(id, 0, {"batch_size": 128, "epochs": EPOCHS, **params})


def test_how_little_fits_is_remembered_for_trials_that_are_like_it(journal):
    proposals = [
        of("first", lr=0.1, pooling="max"),
        of("larger", lr=0.2, optimizer="sgd", batch_size=256, pooling="max"),
        of("smaller", batch_size=64, pooling="max"),
        of("other option", pooling="average"),
        of("other size", resize=64, pooling="max"),
        of("other precision", precision="float32", pooling="max"),
        of("other model", model="mlp", pooling="max"),
    ]
    phases = Phases(iter([begin(journal, ListProposer(proposals, journal), concurrent=10)]))
    first = phases.next()
    assert first.micro_batch is None
    assert phases.report("first", replace(epoch(1), micro_batch=32))
    assert phases.report("first", replace(epoch(2), micro_batch=32))
    tasks = {task.id: task.micro_batch for task in (phases.next() for _ in proposals[1:])}
    assert tasks == {p.id: 32 if p.id == "larger" else None for p in proposals[1:]}
    memory = [(e.id, e.micro_batch, e.reason) for e, _ in read(journal.path) if isinstance(e, MicroBatchSet)]
    assert memory == [("first", 32, "out of memory"), ("larger", 32, "")]
    assert "micro_batch" not in journal.records["first"].last


def test_how_little_fits_is_known_to_a_resumed_search_and_to_its_confirmation(journal):
    session = begin(journal, Made(trials=1))
    session.next()
    session.set_micro_batch("t0", 16, "out of memory")
    again = begin(reopened(journal), Made(first=1))
    assert [again.next().micro_batch, again.next().micro_batch] == [16, 16]
    confirmation = ListProposer([Proposal("confirm", 0, {"lr": 0.3, "seed": 1000})], again.journal)
    assert begin(again.journal, confirmation, phase="confirm").next().micro_batch == 16


def test_a_worker_killed_for_memory_is_followed_by_one_with_half_the_images(journal):
    phases = Phases(iter([begin(journal, ListProposer([of("t", batch_size=7)], journal), retries=4)]))
    given = []
    for _ in range(5):
        given.append(phases.next().micro_batch)
        phases.on_worker_died("t", "no memory", "n", out_of_memory=True)
    assert given == [None, 4, 2, 1, 1]
    memory = [e.micro_batch for e, _ in read(journal.path) if isinstance(e, MicroBatchSet)]
    assert memory == [4, 2, 1]
    assert journal.records["t"].outcome is Outcome.FAILED
    assert "died 5 times, at last killed for memory" in journal.records["t"].reason


# Workers that die, nodes that are lost


def test_a_trial_whose_worker_died_is_the_next_to_start_until_it_has_died_too_often(journal):
    session = begin(journal, retries=2)
    for _ in range(3):
        assert (session.next().id, session.running) == ("t0", {"t0"})
        session.on_worker_died("t0", "SIGKILL")
    assert journal.records["t0"].outcome is Outcome.FAILED
    assert "The trial's worker died 3 times." in journal.records["t0"].reason
    assert session.next().id == "t1"


def test_a_trial_goes_on_from_the_epochs_that_were_heard_of(journal):
    session = begin(journal, retries=1)
    session.next()
    session.report("t0", epoch(1))
    session.report("t0", epoch(2))
    session.on_worker_died("t0", "SIGKILL")
    assert session.next().epochs_done == 2


def test_a_trial_that_dies_when_nothing_more_is_proposed_goes_on_before_the_next_phase_begins(journal):
    closed = []
    phases = Phases(two_phases(journal, Made(trials=1), closed, retries=1))
    phases.next()
    assert phases.next() is None
    phases.on_worker_died("t0", "SIGKILL", None)
    assert phases.next().id == "t0"
    assert closed == []


def test_the_loss_of_a_node_counts_for_nothing(journal):
    session = begin(journal, retries=0)
    for _ in range(5):
        assert session.next().id == "t0"
        session.reschedule("t0")
    assert journal.records["t0"].outcome is None


def test_deaths_on_a_node_that_turns_out_to_be_lost_are_forgiven(journal):
    session = begin(journal, retries=1)
    session.next()
    session.on_worker_died("t0", "SIGKILL", "spot")
    session.on_node_lost("spot")
    session.next()
    session.on_worker_died("t0", "SIGKILL", "other")
    assert session.next().id == "t0"
    session.on_worker_died("t0", "SIGKILL", "other")
    assert journal.records["t0"].outcome is Outcome.FAILED


# Models that are given more than others


def test_a_trial_that_does_not_fit_waits_and_nothing_overtakes_it(journal):
    proposals = [of(f"t{n}", model=model) for n, model in enumerate(["lenet", "resnet18", "lenet"])]
    slots = Slots({"lenet": Share(0.25, 1), "resnet18": Share(1, 1)}, [Node("n", "a", 8, 1)], 10)
    session = begin(journal, ListProposer(proposals, journal), slots=slots)
    assert session.next().id == "t0"
    assert session.next() is None
    slots.nodes.append(Node("m", "b", 8, 1))
    task = session.next()
    assert (task.id, task.gpu) == ("t1", 1)
    assert session.next().id == "t2"


def test_a_node_that_joins_is_used_at_once_and_one_that_leaves_no_more(journal):
    slots = Slots({"lenet": Share(0, 1)}, [Node("n", "a", 1, 0)], 10)
    session = begin(journal, slots=slots)
    assert [session.next() is None for _ in range(2)] == [False, True]
    slots.nodes.append(Node("m", "b", 2, 0))
    assert [session.next() is None for _ in range(3)] == [False, False, True]
    slots.nodes.pop()
    session.fail("t0", "broke")
    assert session.next() is None


# Giving up


def test_a_session_whose_first_trials_all_fail_at_the_start_is_hopeless(journal):
    session = begin(journal)
    for n in range(HOPELESS_FAILURES):
        assert not session.hopeless
        session.fail(session.next().id, f"broke {n}")
    assert session.hopeless
    assert session.exhausted
    assert session.next() is None


def test_five_failures_are_what_it_takes():
    assert HOPELESS_FAILURES == 5


@pytest.mark.parametrize("reason", ["trained an epoch", "ended well", "is still running"])
def test_one_of_the_first_trials_that_did_better_is_hope(journal, reason):
    session = begin(journal, concurrent=3)
    id = session.next().id
    if reason != "is still running":
        session.report(id, epoch(1))
    if reason == "trained an epoch":
        session.fail(id, "broke later")
    for _ in range(2 * HOPELESS_FAILURES):
        session.fail(session.next().id, "broke")
    assert not session.hopeless
    assert session.next() is not None


def test_failures_after_a_good_start_are_not_hopeless(journal):
    session = begin(journal)
    run_through(session)
    for _ in range(2 * HOPELESS_FAILURES):
        session.fail(session.next().id, "broke")
    assert not session.exhausted


# Time


def test_when_time_is_up_nothing_starts_and_what_runs_ends_with_its_epoch(journal):
    up = []
    session = begin(journal, out_of_time=lambda: bool(up), concurrent=3)
    first, second = session.next().id, session.next().id
    assert session.report(first, epoch(1))
    up.append(True)
    assert session.next() is None
    assert session.exhausted
    assert not session.report(first, epoch(2))
    assert journal.records[first].outcome is Outcome.INTERRUPTED
    assert "budget.hours" in journal.records[first].reason
    for number in (1, 2, 3, EPOCHS):
        session.report(second, epoch(number))
    assert journal.records[second].outcome is Outcome.INTERRUPTED
    assert sorted(journal.records[second].epochs) == [1]


def test_a_trial_that_is_done_when_time_is_up_is_done(journal):
    up = []
    session = begin(journal, out_of_time=lambda: bool(up))
    id = session.next().id
    for number in range(1, EPOCHS):
        session.report(id, epoch(number))
    up.append(True)
    session.report(id, epoch(EPOCHS))
    assert journal.records[id].outcome is Outcome.COMPLETED


def write_launch(path: Path, began: float, *events: tuple[float, str, str]) -> None:
    """Adds a launch in the past: at each time (seconds after `began`) a trial of a phase begins."""
    written = [DriverStarted(time=began, resources="there")]
    for after, phase, id in events:
        written.append(TrialStarted(time=began + after, id=id, number=0, phase=phase, params={}))
    with open(path, "ab") as file:
        file.writelines(encode(event) for event in written)


@pytest.mark.parametrize(("hours", "up"), [(None, False), (1.9, True), (2.1, False)])
def test_hours_are_counted_over_all_launches(tmp_path, hours, up):
    path = tmp_path / "journal.jsonl"
    for began in (1000.0, 50_000.0):
        write_launch(path, began, (10.0, "search", "a"), (3600.0, "search", "b"))
    journal = Journal(path)
    journal.append(DriverStarted(resources="here"))
    assert deadline(journal, hours)() is up


def test_hours_end_while_the_search_runs(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(DriverStarted(resources="here"))
    out_of_time = deadline(journal, 1.0)
    now = time.time()
    monkeypatch.setattr("search.orchestration.session.time.time", lambda: now + 3500)
    assert not out_of_time()
    monkeypatch.setattr("search.orchestration.session.time.time", lambda: now + 3700)
    assert out_of_time()


def test_the_confirmation_of_an_earlier_launch_takes_no_time_from_the_search(tmp_path):
    path = tmp_path / "journal.jsonl"
    write_launch(
        path, 1000.0, (10.0, "search", "a"), (1800.0, "search", "b"), (1810.0, "confirm", "c"), (7200.0, "confirm", "d")
    )
    journal = Journal(path)
    journal.append(DriverStarted(resources="here"))
    assert not deadline(journal, 1.0)()


# Phases


def test_what_a_step_says_is_heard(journal):
    phases = Phases(two_phases(journal, Made(trials=2), []))
    first, second = phases.next().id, phases.next().id
    assert phases.report(first, replace(epoch(1), restore_notice="checkpoint gone: starts again from the beginning"))
    assert not phases.report(second, TrialFailed(traceback="Traceback\nValueError: broke"))
    assert journal.records[second].outcome is Outcome.FAILED
    assert set(journal.records[first].last) == set(epoch(1).metrics)
    assert [e.id for e, _ in read(journal.path) if isinstance(e, StateLost)] == [first]


def test_a_state_that_cannot_be_saved_ends_the_search_and_fails_no_trial(journal):
    closed: list[str] = []
    phases = Phases(two_phases(journal, Made(), closed))
    first, second = phases.next().id, phases.next().id
    phases.report(first, epoch(1))
    assert not phases.report(first, StateNotSaved(reason="No space left on device: /full"))
    assert "No space left on device: /full" in phases.halted
    assert "--resume" in phases.halted
    assert phases.exhausted
    assert phases.next() is None
    assert not phases.report(second, epoch(1))
    phases.close()
    assert {r.outcome for r in journal.records.values()} == {Outcome.INTERRUPTED}
    assert "No space left" in journal.records[second].reason
    assert sorted(journal.records[second].epochs) == [1], "what it had done is kept"
    assert closed == ["closed"], "no further phase began"


def test_a_search_is_ended_for_its_first_reason_even_where_its_last_trials_ran(journal):
    phases = Phases(two_phases(journal, Made(trials=1), []))
    id = phases.next().id
    phases.halt("the first")
    phases.halt("the second")
    assert phases.halted == "the first"
    for number in range(1, EPOCHS + 1):
        assert not phases.report(id, epoch(number))
    assert phases.next() is None
    assert set(journal.records) == {id}, "nothing is confirmed"
    assert journal.records[id].reason == "the first"


def two_phases(journal: Journal, first: Made, closed: list[str], **setting):
    """A search, then a confirmation of its two best, as the launcher makes them."""
    try:
        yield begin(journal, first, **setting)
        closed.append("search")
        best = sorted(
            (r for r in journal.records.values() if r.outcome is Outcome.COMPLETED),
            key=lambda r: -r.last["val_accuracy"],
        )[:2]
        proposals = [Proposal(f"confirm-{r.id}", r.number, {**r.params, "seed": 1000}) for r in best]
        yield begin(journal, ListProposer(proposals, journal), phase="confirm", keep=2, **setting)
        closed.append("confirm")
    finally:
        closed.append("closed")


def test_one_phase_follows_the_other_when_its_last_trial_has_ended(journal):
    closed: list[str] = []
    phases = Phases(two_phases(journal, Made(trials=3), closed))
    a, b = phases.next(), phases.next()
    assert (a.id, b.id) == ("t0", "t1")
    assert phases.next() is None  # both slots are taken
    # The two workers' epochs come interleaved; b, the later one, is done first.
    for number in range(1, EPOCHS + 1):
        assert phases.report("t1", epoch(number, 0.7)) is (number < EPOCHS)
        if number < EPOCHS:
            assert phases.report("t0", epoch(number, 0.6))
    c = phases.next()
    assert c.id == "t2"
    assert phases.report("t0", epoch(EPOCHS, 0.6)) is False
    assert phases.next() is None  # nothing more to search, and t2 still runs
    assert not phases.exhausted
    assert closed == []
    phases.fail("t2", "broke")
    confirm = [phases.next(), phases.next()]
    assert [task.id for task in confirm] == ["confirm-t1", "confirm-t0"]
    assert confirm[0].params["seed"] == 1000
    assert closed == ["search"]
    assert phases.next() is None
    for task in confirm:
        for number in range(1, EPOCHS + 1):
            phases.report(task.id, epoch(number, 0.5))
    assert phases.next() is None
    assert phases.exhausted
    assert closed == ["search", "confirm", "closed"]
    assert {id: r.outcome for id, r in journal.records.items()} == {
        "t0": Outcome.COMPLETED,
        "t1": Outcome.COMPLETED,
        "t2": Outcome.FAILED,
        "confirm-t1": Outcome.COMPLETED,
        "confirm-t0": Outcome.COMPLETED,
    }


def test_phases_without_anything_to_do_are_exhausted_from_the_start(journal):
    closed: list[str] = []
    assert Phases(two_phases(journal, Made(trials=0), closed)).exhausted
    assert closed == ["search", "confirm", "closed"]
    assert Phases(iter(())).exhausted


def test_no_trial_is_lost_or_begun_twice_however_the_calls_interleave(journal):
    closed: list[str] = []
    phases = Phases(two_phases(journal, Made(trials=7), closed, concurrent=3))
    running: dict[str, int] = {}
    begun: list[str] = []
    for turn in range(1000):
        if phases.exhausted:
            break
        if (task := phases.next()) is not None:
            begun.append(task.id)
            running[task.id] = 0
        assert len(running) <= 3
        if running and turn % 3:
            id = list(running)[turn % len(running)]
            running[id] += 1
            if not phases.report(id, epoch(running[id], 0.5)):
                del running[id]
    assert phases.exhausted
    assert not running
    assert begun == [*(f"t{n}" for n in range(7)), "confirm-t0", "confirm-t1"]


def test_closing_interrupts_what_runs_and_leaves_the_sessions_contexts(journal):
    closed: list[str] = []
    phases = Phases(two_phases(journal, Made(), closed))
    first = phases.next().id
    phases.report(first, epoch(1))
    phases.close()
    assert journal.records[first].outcome is Outcome.INTERRUPTED
    assert closed == ["closed"]
    assert not phases.report(first, epoch(2))
    assert sorted(journal.records[first].epochs) == [1]


def test_closing_before_the_first_trial_was_asked_for_leaves_nothing_running(journal):
    Phases(two_phases(journal, Made(), [])).close()
    assert all(r.outcome is Outcome.INTERRUPTED for r in journal.records.values())


def test_closing_when_all_is_done_changes_nothing(journal):
    phases = Phases(two_phases(journal, Made(trials=0), []))
    phases.close()
    assert phases.exhausted
    assert journal.records == {}
