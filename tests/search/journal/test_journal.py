"""The journal is the truth about a search: whatever happens to its writer, what it says stands."""

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random

import pytest

from contract.events import (
    BestFound,
    DriverStarted,
    EpochEnded,
    Event,
    MicroBatchSet,
    SpaceChanged,
    StateLost,
    TrialEnded,
    TrialStarted,
    from_content,
)
from contract.outcomes import Outcome
from search.journal.journal import AlreadyRunning, Journal, encode, read
from search.journal.records import TrialRecord, best_first

PROJECT = Path(__file__).parents[3]


def metrics(accuracy: float) -> dict[str, float]:
    return {"train_loss": 1.0, "val_loss": 1.0, "val_accuracy": accuracy}


def launch(where: str) -> DriverStarted:
    return DriverStarted(resources=where, concurrent=1, command_time=0.0)


def write_a_search(path: Path) -> Journal:
    """Two launches: a trial stopped, one completed, one interrupted and gone on with, one that confirms."""
    journal = Journal(path)
    journal.append(launch("here"))
    for number in range(3):
        journal.append(
            TrialStarted(id=f"t{number}", number=number, phase="search", params={"lr": 0.1 * number, "epochs": 2})
        )
        journal.append(EpochEnded(id=f"t{number}", epoch=1, metrics=metrics(0.5 + number / 10)))
    journal.append(TrialEnded(id="t0", outcome=Outcome.STOPPED, reason="at rung 1", epoch=1))
    journal.append(EpochEnded(id="t1", epoch=2, metrics=metrics(0.7)))
    journal.append(TrialEnded(id="t1", outcome=Outcome.COMPLETED, reason="", epoch=2))
    journal.append(BestFound(id="t1", metric="val_accuracy", value=0.7, number=1))
    journal.append(TrialEnded(id="t2", outcome=Outcome.INTERRUPTED, reason="the search was ended", epoch=1))
    journal.append(launch("there"))
    journal.append(TrialStarted(id="t2", number=2, phase="search", params={"lr": 0.2, "epochs": 2}))
    journal.append(EpochEnded(id="t2", epoch=2, metrics=metrics(float("nan"))))
    journal.append(TrialStarted(id="confirm-t1", number=1, phase="confirm", params={"lr": 0.1, "seed": 1000}))
    return journal


def test_what_is_read_back_is_what_was_known_while_it_was_written(tmp_path):
    journal = write_a_search(tmp_path / "journal.jsonl")
    journal.close()
    again = Journal(tmp_path / "journal.jsonl")
    assert repr(again.records) == repr(journal.records)  # repr: a NaN is equal to a NaN
    assert again.launches == journal.launches
    assert again.seconds == journal.seconds


def test_records_say_how_each_trial_stands(tmp_path):
    records = write_a_search(tmp_path / "journal.jsonl").records
    assert {id: (r.number, r.phase, r.outcome, sorted(r.epochs)) for id, r in records.items()} == {
        "t0": (0, "search", Outcome.STOPPED, [1]),
        "t1": (1, "search", Outcome.COMPLETED, [1, 2]),
        "t2": (2, "search", None, [1, 2]),  # it goes on: what interrupted it is past
        "confirm-t1": (1, "confirm", None, []),
    }
    assert records["t0"].reason == "at rung 1"
    assert records["t1"].last == metrics(0.7)
    assert records["confirm-t1"].last == {}
    assert records["t2"].reason == ""
    assert records["t2"].ended is None
    assert records["t0"].started <= records["t0"].ended


def test_a_value_comes_back_exactly(tmp_path):
    values = [0.1 + 0.2, 1e-300, -0.0, float("inf"), 5e-324]
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(
        TrialStarted(
            id="t",
            number=0,
            phase="search",
            params={"lr": values[1], "name": 'ü "quoted"\nline', "flag": True, "none": None},
        )
    )
    for epoch, value in enumerate(values, 1):
        journal.append(EpochEnded(id="t", epoch=epoch, metrics=metrics(value)))
    journal.close()
    record = Journal(tmp_path / "journal.jsonl").records["t"]
    assert [record.epochs[epoch]["val_accuracy"] for epoch in record.epochs] == values
    assert record.params == {"lr": 1e-300, "name": 'ü "quoted"\nline', "flag": True, "none": None}


def test_wall_time_counts_each_launch_from_its_first_event_to_its_last(tmp_path, monkeypatch):
    clock = iter([100.0, 103.0, 110.0, 1000.0, 1005.0])
    monkeypatch.setattr("contract.events.time.time", lambda: next(clock))
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(launch("here"))
    journal.append(TrialStarted(id="t", number=0, phase="search", params={}))
    journal.append(EpochEnded(id="t", epoch=1, metrics=metrics(0.5)))
    journal.append(launch("there"))
    journal.append(EpochEnded(id="t", epoch=2, metrics=metrics(0.5)))
    assert journal.seconds == 10.0 + 5.0


def test_listeners_hear_of_an_event_that_is_written_and_known_already(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    heard = []
    journal.listeners.append(
        lambda event: heard.append((event.kind, set(journal.records), len(list(read(journal.path)))))
    )
    journal.append(launch("here"))
    journal.append(TrialStarted(id="t", number=0, phase="search", params={}))
    assert heard == [("launch", set(), 1), ("trial", {"t"}, 2)]


def test_reading_goes_on_from_an_offset(tmp_path):
    journal = write_a_search(tmp_path / "journal.jsonl")
    everything = list(read(journal.path))
    assert everything[-1][1] == journal.path.stat().st_size
    for i, (_, offset) in enumerate(everything):
        assert repr(list(read(journal.path, offset))) == repr(everything[i + 1 :])


# What a killed writer leaves behind


def test_half_a_last_line_is_dropped_wherever_it_breaks_off(tmp_path):
    path = tmp_path / "journal.jsonl"
    write_a_search(path).close()
    whole = path.read_bytes()
    begins = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[:begins])
    before = Journal(path)
    before.close()
    for end in range(begins, len(whole)):
        path.write_bytes(whole[:end])
        journal = Journal(path)
        assert repr(journal.records) == repr(before.records)
        assert path.stat().st_size == begins
        journal.close()


def test_what_is_appended_after_half_a_line_can_be_read(tmp_path):
    path = tmp_path / "journal.jsonl"
    write_a_search(path).close()
    with open(path, "ab") as file:
        file.write(b'{"event": "end", "id": "t2", "outc')
    journal = Journal(path)
    journal.append(TrialEnded(id="t2", outcome=Outcome.COMPLETED, reason="", epoch=2))
    journal.close()
    assert Journal(path).records["t2"].outcome is Outcome.COMPLETED


def test_a_reader_of_a_running_search_leaves_half_a_line_for_later(tmp_path):
    path = tmp_path / "journal.jsonl"
    whole = encode(DriverStarted(time=1, resources="here"))
    path.write_bytes(whole + b'{"event": "tri')
    [(event, end)] = read(path)
    assert (event.time, end) == (1, len(whole))
    assert path.stat().st_size == len(whole) + 14


def test_an_empty_file_is_a_search_that_has_not_begun(tmp_path):
    (tmp_path / "journal.jsonl").touch()
    assert Journal(tmp_path / "journal.jsonl").records == {}


# What a bad disk does


def test_any_flipped_byte_costs_its_line_and_nothing_else(tmp_path):
    path = tmp_path / "journal.jsonl"
    write_a_search(path).close()
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    random = Random(0)
    for _ in range(300):
        at, bit = random.randrange(len(whole)), 1 << random.randrange(8)
        damaged = bytearray(whole)
        damaged[at] ^= bit
        path.write_bytes(damaged)
        journal = Journal(path)
        lost = whole[:at].count(b"\n")
        if damaged[at] == 10:  # one line became two
            assert journal.damaged == 2
        elif whole[at] == 10:  # two lines became one, or the last one half of one
            assert journal.damaged == (lost < len(lines) - 1)
        else:
            assert journal.damaged == 1
        survivors = [line for n, line in enumerate(lines) if n not in (lost, lost + (whole[at] == 10))]
        assert repr([e for e, _ in read(path)]) == repr([event_of(line) for line in survivors])
        journal.close()


def test_a_trial_whose_beginning_is_damaged_is_left_out_and_the_others_are_whole(tmp_path):
    path = tmp_path / "journal.jsonl"
    before = write_a_search(path)
    before.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(
        b"".join(b"x" + line if b'"trial", "time"' in line and b'"t0"' in line else line for line in lines)
    )
    after = Journal(path)
    assert after.damaged == 1
    assert "t0" not in after.records
    assert repr(after.records["t1"]) == repr(before.records["t1"])


@pytest.mark.parametrize(
    "later",
    [
        MicroBatchSet(id="t0", micro_batch=16, reason="out of memory"),
        StateLost(id="t0", text="checkpoint damaged: starts again from the beginning"),
        EpochEnded(id="t0", epoch=1, metrics=metrics(0.5)),
        TrialEnded(id="t0", outcome=Outcome.STOPPED, reason="at rung 1", epoch=1),
        BestFound(id="t0", number=0, metric="val_accuracy", value=0.5),
        SpaceChanged(outside=["t0"], inside=[]),
    ],
    ids=lambda event: event.kind,
)
def test_whatever_follows_a_damaged_beginning_the_search_can_be_opened(tmp_path, later):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for event in (launch("here"), TrialStarted(id="t0", number=0, phase="search", params={}), later, launch("there")):
        journal.append(event)
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"number"', b'"nunber"')
    path.write_bytes(b"".join(lines))
    again = Journal(path)
    assert (again.damaged, again.records, len(again.launches)) == (1, {}, 2)


@pytest.mark.parametrize(
    "content",
    [
        {"event": "none such", "time": 1.0},
        {"event": "launch", "time": 1.0},
        {"event": "end", "time": 1.0, "id": "t"},
        [],
    ],
)
def test_a_whole_line_that_is_no_event_is_left_out_and_counted(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    line = json.dumps(content)[:-1]
    closed = f"{line}{']' if content == [] else '}'}"
    path.write_text(f'{line}, "crc": "{zlib.crc32(closed.encode()):08x}"}}\n')
    journal = Journal(path)
    assert (journal.damaged, journal.records) == (1, {})


def test_a_full_disk_leaves_the_file_as_it_was_and_it_goes_on_when_there_is_room(tmp_path):
    """In a process of its own, for a limit on the size of files holds for all that a process writes."""
    path = tmp_path / "journal.jsonl"
    answer = subprocess.run([sys.executable, "-c", FULL, str(path)], cwd=PROJECT, capture_output=True, text=True)
    assert answer.stdout.split() == ["refused", "4", "refused", "4", "5"], answer.stderr
    journal = Journal(path)
    assert journal.damaged == 0
    assert [event.resources for event, _ in read(path)] == ["", "", "", "", "room"]


FULL = """
import resource, signal, sys
from pathlib import Path
from contract.events import DriverStarted
from search.journal.journal import Journal, read
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(path)
for _ in range(4):
    journal.append(DriverStarted(resources=""))
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        journal.append(DriverStarted(resources="x" * 40))
    except OSError:
        print("refused", len(list(read(path))))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(DriverStarted(resources="room"))
print(len(list(read(path))))
"""


def event_of(line: bytes) -> Event:
    return from_content({key: value for key, value in json.loads(line).items() if key != "crc"})


# One driver at a time

HOLD = """
import sys, time
from pathlib import Path
from contract.events import DriverStarted
from search.journal.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.append(DriverStarted(resources="there"))
print("held", flush=True)
time.sleep(600)
"""
OPEN = """
import sys
from pathlib import Path
from search.journal.journal import AlreadyRunning, Journal
try:
    Journal(Path(sys.argv[1]))
except AlreadyRunning as error:
    print("refused:", error)
"""


def test_a_second_process_is_refused_and_told_which_folder_is_taken(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(launch("here"))
    command = [sys.executable, "-c", OPEN, str(journal.path)]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("refused:")
    assert str(tmp_path) in answer
    assert len(list(read(journal.path))) == 1


def test_a_killed_holders_lock_is_free_at_once_and_its_events_are_there(tmp_path):
    path = tmp_path / "journal.jsonl"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning):
            Journal(path)
        os.kill(holder.pid, signal.SIGKILL)
    finally:
        holder.kill()
        holder.communicate()
    assert len(Journal(path).launches) == 1


def test_a_closed_journal_can_be_opened_again(tmp_path):
    Journal(tmp_path / "journal.jsonl").close()
    Journal(tmp_path / "journal.jsonl")


# Who leads


def record(number: int, outcome: Outcome | None, *values: float) -> TrialRecord:
    epochs = {epoch: metrics(value) for epoch, value in enumerate(values, 1)}
    return TrialRecord(f"t{number}", number, "search", {}, 0.0, epochs, outcome)


def test_leaders_are_ranked_by_their_last_epoch_not_their_best():
    records = [
        record(0, Outcome.COMPLETED, 0.9, 0.6),
        record(1, Outcome.COMPLETED, 0.1, 0.7),
        record(2, Outcome.STOPPED, 0.8),
    ]
    assert [r.number for r in best_first(records, "val_accuracy", maximize=True)] == [2, 1, 0]
    assert [r.number for r in best_first(records, "val_accuracy", maximize=False)] == [0, 1, 2]


@pytest.mark.parametrize("maximize", [True, False])
def test_among_equals_the_longer_trained_leads_and_then_the_earlier(maximize):
    records = [record(3, Outcome.STOPPED, 0.5), record(1, Outcome.STOPPED, 0.5), record(2, Outcome.COMPLETED, 0.4, 0.5)]
    assert [r.number for r in best_first(records, "val_accuracy", maximize)] == [2, 1, 3]


def test_only_trials_with_a_usable_value_lead():
    records = [
        record(0, Outcome.FAILED, 0.9),
        record(1, Outcome.DIVERGED, 0.9),
        record(2, Outcome.INTERRUPTED, 0.9),
        record(3, None, 0.9),
        record(4, Outcome.STOPPED),
        record(5, Outcome.COMPLETED, 0.1),
    ]
    assert [r.number for r in best_first(records, "val_accuracy", maximize=True)] == [5]
