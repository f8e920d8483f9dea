"""Proposals that are worked out ahead, while all workers are busy."""

from pathlib import Path

import pytest
from optuna.trial import TrialState

from contract.outcomes import Outcome
from search.journal.records import TrialRecord
from search.orchestration.proposal import Proposal
from search.orchestration.proposers import StudyProposer
from search.spec.loader import parse
from search.spec.spec import Spec
from search.study.study import StudySearcher

TRIALS = 6


@pytest.fixture
def spec() -> Spec:
    content = {
        "name": "made",
        "data": "digits",
        "space": {"lr": {"loguniform": [1e-4, 1e-1]}, "batch_size": {"grid": [32, 64]}},
        "sampler": {"name": "random", "seed": 3},
        "budget": {"trials": TRIALS},
    }
    made, problems = parse(content, "made.yaml", {})
    assert made is not None, problems
    return made


@pytest.fixture
def prepared_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StudyProposer, "PREPARED_FROM", 0)


def all_of(proposer: StudyProposer, *, prepare: bool) -> list[Proposal]:
    proposals = []
    while (proposal := proposer.propose()) is not None:
        proposals.append(proposal)
        for _ in range(3 * prepare):  # an engine asks again and again while its workers are busy
            proposer.prepare()
    return proposals


def told(proposal: Proposal) -> TrialRecord:
    done = TrialRecord(f"trial-{proposal.number:04d}", proposal.number, "search", dict(proposal.params), 0.0)
    done.epochs[1] = {"val_accuracy": 0.5, "val_loss": 1.0, "train_loss": 1.0}
    done.outcome = Outcome.STOPPED
    return done


def test_the_same_trials_are_proposed_whether_ahead_or_not(spec, tmp_path, prepared_from_the_start):
    ahead = all_of(StudyProposer(StudySearcher(spec, tmp_path / "ahead.log")), prepare=True)
    assert ahead == all_of(StudyProposer(StudySearcher(spec, tmp_path / "asked.log")), prepare=False)
    assert len(ahead) == TRIALS


def test_a_free_worker_does_not_wait_for_what_was_prepared(spec, tmp_path, prepared_from_the_start, monkeypatch):
    proposer = StudyProposer(StudySearcher(spec, tmp_path / "study.log"))
    proposer.propose()
    proposer.prepare()
    monkeypatch.setattr(proposer.searcher, "ask", lambda: pytest.fail("asked while a worker waits"))
    assert proposer.propose().number == 1


def test_the_first_trials_are_not_prepared_for_each_result_counts(spec, tmp_path):
    proposer = StudyProposer(StudySearcher(spec, tmp_path / "study.log"))
    proposer.propose()
    proposer.prepare()
    assert len(proposer.searcher.study.get_trials()) == 1


@pytest.mark.parametrize("closed", [True, False], ids=["ended", "killed"])
def test_what_was_prepared_and_never_tried_costs_a_resumed_search_no_trial(
    spec: Spec, tmp_path: Path, prepared_from_the_start, closed: bool
):
    study = tmp_path / "study.log"
    proposer = StudyProposer(StudySearcher(spec, study))
    first = proposer.propose()
    proposer.prepare()
    if closed:
        proposer.close()
    record = told(first)
    for epoch, metrics in record.epochs.items():
        proposer.report(record, epoch, metrics)
    proposer.end(record)
    states = [t.state for t in proposer.searcher.study.get_trials()]
    assert (TrialState.RUNNING in states) is not closed
    again = StudySearcher(spec, study)
    assert not again.reconcile([record])
    proposals = [first, *all_of(StudyProposer(again), prepare=False)]
    assert len(proposals) == len({p.number for p in proposals}) == TRIALS
    assert sorted(p.params["batch_size"] for p in proposals) == [32] * 3 + [64] * 3
    finished = [t for t in again.study.get_trials() if t.state is not TrialState.RUNNING]
    assert len(finished) == 1 + closed
