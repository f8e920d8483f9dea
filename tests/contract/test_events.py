"""Journal events: each kind comes back from a line as it was, and nothing else is taken for one."""

import json
import math

import pytest

from contract.events import (
    KINDS,
    BestFound,
    DriverStarted,
    EpochEnded,
    MicroBatchSet,
    SpaceChanged,
    StateLost,
    TrialEnded,
    TrialStarted,
    from_content,
)
from contract.outcomes import Outcome

EVENTS = [
    DriverStarted(resources="2 CPUs", concurrent=2, command_time=1.5),
    SpaceChanged(outside=["t1"], inside=[]),
    TrialStarted(id="t1", number=1, phase="search", params={"lr": 1e-3, "frozen": True, "weights": None}),
    EpochEnded(id="t1", epoch=3, metrics={"val_accuracy": 0.1 + 0.2, "train_loss": math.inf}),
    TrialEnded(id="t1", outcome=Outcome.STOPPED, reason="at rung 3", epoch=3),
    StateLost(id="t1", text="checkpoint gone"),
    MicroBatchSet(id="t1", micro_batch=16, reason="out of memory"),
    BestFound(id="t1", number=1, metric="rmse", value=0.5),
]


def test_every_kind_is_here():
    assert {event.kind for event in EVENTS} == set(KINDS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_comes_back_from_json_as_it_was(event):
    again = from_content(json.loads(json.dumps(event.content())))
    assert again == event
    assert type(again) is type(event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_a_field_more_or_less_is_no_event(event):
    content = event.content()
    with pytest.raises(ValueError, match="no event of a search"):
        from_content({**content, "more": 1})
    with pytest.raises(ValueError, match="no event of a search"):
        from_content({key: value for key, value in content.items() if key != "time"})


def test_an_outcome_that_there_is_not_is_refused():
    content = EVENTS[4].content() | {"outcome": "vanished"}
    with pytest.raises(ValueError, match="vanished"):
        from_content(content)
