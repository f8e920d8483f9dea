"""A search's files in a shared folder and in an S3-compatible store: whole or not there, and never behind by much."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest
import torch
from moto.server import ThreadedMotoServer

from contract.events import TrialEnded, TrialStarted
from contract.outcomes import Outcome
from search.journal.journal import Journal, read
from search.journal.retention import StoredFiles
from search.storage import address as addresses
from search.storage import mirror, storage
from search.storage.mirror import LEASE, Mirror, other_driver, pull
from search.storage.storage import Storage
from search.trial.data_source import DataSource
from search.trial.saved_state import StoredState
from trainables import cache
from trainables.config import TrainConfig
from trainables.datasets import digits
from trainables.state import TrainState


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of a bucket in an object store on this machine."""
    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "made-up")
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket="bucket")
    yield f"s3://bucket/all?endpoint_override=http%3A%2F%2F{host}%3A{port}&scheme=http&region=us-east-1"
    server.stop()
    patch.undo()


@pytest.fixture(params=["folder", "object store"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a storage; what tests put into it they name after themselves."""
    return str(tmp_path / "shared") if request.param == "folder" else request.getfixturevalue("store")


@pytest.fixture
def place(address: str, request: pytest.FixtureRequest) -> Storage:
    return Storage(address, request.node.name.partition("[")[0])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "COPY_INTERVAL_S", 0.02)
    monkeypatch.setattr(mirror, "LEASE_INTERVAL_S", 0.1)


def test_files_are_written_read_listed_and_removed(place: Storage, tmp_path: Path):
    place.write("a/one", b"1")
    place.write("a/one", b"one")
    (tmp_path / "two").write_bytes(b"22")
    place.put(tmp_path / "two", "a/b/two")
    assert place.read("a/one") == b"one"
    assert place.sizes() == {"a/one": 3, "a/b/two": 2}
    assert place.sizes("a") == {"one": 3, "b/two": 2}
    assert place.under("a").folders() == ["b"]
    assert place.fetch("a/b/two", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == b"22"
    place.remove("a/one")
    place.remove("a/one")
    assert not place.fetch("a/one", tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        place.read("a/one")
    assert place.sizes("nowhere") == {}
    assert place.under("nowhere").folders() == []


def test_a_file_that_could_not_be_written_is_not_there(tmp_path: Path):
    place = Storage(str(tmp_path))
    with pytest.raises(OSError, match="No such file"):
        place.put(tmp_path / "missing", "copy")
    assert place.sizes() == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/shared/searches", None), ("shared", None), ("s3://bucket/a?region=eu-central-1", None), ("gs://b", None),
        ("http://host/a", "http:// is not known"), ("s3:///a", None), ("s3://", "names no bucket"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_told(address, told):
    said = addresses.problem(address)
    assert said is None if told is None else said.startswith(told)


def test_a_storage_that_cannot_be_used_is_told(store: str, tmp_path: Path):
    storage.check(store)
    with pytest.raises(OSError, match="NO_SUCH_BUCKET"):
        storage.check(store.replace("//bucket/", "//other/"))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="create directory"):
        storage.check(str(tmp_path / "file"))


def test_the_address_is_shown_without_its_question(store: str):
    assert str(Storage(store, "name", "id")) == "s3://bucket/all/name/id"


# The mirror


def make(folder: Path, trials: int, first: int = 0) -> Journal:
    journal = Journal(folder / "journal.jsonl")
    for n in range(first, first + trials):
        journal.append(TrialStarted(id=f"t{n}", number=n, phase="search", params={"lr": 0.1}))
    return journal


def stored(place: Storage) -> bytes:
    return b"".join(place.read(f"journal/{part}") for part in sorted(place.sizes("journal")))


def test_the_journal_arrives_in_parts_and_is_pulled_whole(place: Storage, tmp_path: Path, quick, monkeypatch):
    monkeypatch.setattr(mirror, "PART_BYTES", 1000)
    journal = make(tmp_path / "here", 3)
    copy = Mirror(tmp_path / "here", place)
    for n in range(3, 60):
        journal.append(TrialStarted(id=f"t{n}", number=n, phase="search", params={"lr": 0.1}))
        time.sleep(0.002)
    assert copy.close()
    assert stored(place) == journal.path.read_bytes()
    assert len(place.sizes("journal")) > 1
    assert max(place.sizes("journal").values()) < 5000
    pull(place, tmp_path / "there")
    assert (tmp_path / "there" / "journal.jsonl").read_bytes() == journal.path.read_bytes()
    journal.close()


def test_a_resumed_search_goes_on_in_the_last_part(place: Storage, tmp_path: Path, quick):
    make(tmp_path / "a", 3).close()
    assert Mirror(tmp_path / "a", place).close()
    pull(place, tmp_path / "b")
    make(tmp_path / "b", 2, first=3).close()
    assert Mirror(tmp_path / "b", place).close()
    pull(place, tmp_path / "c")
    events = [event.id for event, _ in read(tmp_path / "c" / "journal.jsonl")]
    assert events == ["t0", "t1", "t2", "t3", "t4"]


def test_what_is_here_is_kept_only_where_it_lacks_nothing(place: Storage, tmp_path: Path, quick):
    make(tmp_path / "here", 2).close()
    assert Mirror(tmp_path / "here", place).close()
    make(tmp_path / "here", 1, first=2).close()
    ahead = (tmp_path / "here" / "journal.jsonl").read_bytes()
    pull(place, tmp_path / "here")
    assert (tmp_path / "here" / "journal.jsonl").read_bytes() == ahead, "the head's disk has survived"
    pull(place, tmp_path / "other")
    make(tmp_path / "other", 1, first=7).close()
    assert Mirror(tmp_path / "other", place).close()
    pull(place, tmp_path / "here")
    assert (tmp_path / "here" / "journal.jsonl").read_bytes() == stored(place), "another machine has gone on since"


def test_half_a_line_waits(place: Storage, tmp_path: Path, quick):
    journal = make(tmp_path / "here", 1)
    whole = journal.path.read_bytes()
    with open(journal.path, "ab") as file:
        file.write(b'{"event": "ep')
    assert Mirror(tmp_path / "here", place).close()
    assert stored(place) == whole
    journal.close()


def test_a_checkpoint_goes_only_after_the_journal_says_why(place: Storage, tmp_path: Path, quick, monkeypatch):
    journal = make(tmp_path / "here", 1)
    place.write("checkpoints/t0.pt", b"state")
    copy = Mirror(tmp_path / "here", place)
    files = StoredFiles(copy)
    reached = threading.Event()
    write = Storage.write

    def failing(self, name, content):
        if name.startswith("journal") and not reached.is_set():
            raise OSError("the store is away")
        write(self, name, content)

    monkeypatch.setattr(Storage, "write", failing)
    journal.append(TrialEnded(id="t0", outcome=Outcome.STOPPED, reason="", epoch=0))
    assert files.bytes() == 5
    files.remove("t0")
    assert files.bytes() == 0
    time.sleep(0.2)
    assert "away" in copy.error
    assert place.sizes("checkpoints") == {"t0.pt": 5}
    reached.set()
    assert copy.close()
    assert place.sizes("checkpoints") == {}
    assert stored(place) == journal.path.read_bytes()
    journal.close()


def test_a_store_that_stays_away_is_given_up(place: Storage, tmp_path: Path, quick, monkeypatch):
    make(tmp_path / "here", 1).close()
    copy = Mirror(tmp_path / "here", place)

    def failing(self, name, content):
        raise OSError("the store is away")

    monkeypatch.setattr(Storage, "write", failing)
    copy._journal.write_bytes(copy._journal.read_bytes() * 2)
    assert not copy.close(patience_s=0.2)


def test_a_second_driver_is_noticed_by_the_signs_of_life_of_the_first(
    place: Storage, tmp_path: Path, quick, monkeypatch
):
    make(tmp_path / "here", 1).close()
    monkeypatch.setattr("socket.gethostname", lambda: "first")
    first = Mirror(tmp_path / "here", place)
    while LEASE not in place.sizes():
        time.sleep(0.01)
    assert other_driver(place) is None, "on one machine the journal's lock knows"
    monkeypatch.setattr("socket.gethostname", lambda: "second")
    monkeypatch.setattr(mirror, "_driver", lambda: {"host": "first", "pid": 7})
    monkeypatch.setattr(mirror, "LEASE_INTERVAL_S", 0.5)
    assert other_driver(place) == "process 7 on first"
    first._closing.set()
    first._thread.join()
    assert other_driver(place) is None, "it has died"
    assert first.close()
    assert LEASE not in place.sizes()


# States of trials, and images


def test_a_state_is_found_again_by_any_machine(address: str):
    config = TrainConfig(model="lenet")
    state = TrainState.create(config, (1, 16, 16), 10, torch.device("cpu"))
    state.epoch = 3
    StoredState(address, "s/1/checkpoints/t0.pt").save(state)
    again = TrainState.create(TrainConfig(model="lenet", seed=5), (1, 16, 16), 10, torch.device("cpu"))
    saved = StoredState(address, "s/1/checkpoints/t0.pt")
    assert saved.restore(again, torch.device("cpu")) is False
    assert again.epoch == 3
    for one, other in zip(state.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert StoredState(address, "s/1/checkpoints/none.pt").restore(again, torch.device("cpu")) is False
    Storage(address).write("s/1/checkpoints/bad.pt", b"not a checkpoint, and longer than a digest is")
    assert StoredState(address, "s/1/checkpoints/bad.pt").restore(again, torch.device("cpu")) is True


def test_images_are_copied_once_and_fetched_once_a_node(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = digits.load(tmp_path)
    source = DataSource("digits", "/not/on/this/node", (), 0.1, 0)
    shared = source.copied(data, address)
    before = Storage(address).sizes("_data")
    puts: list[str] = []
    monkeypatch.setattr(Storage, "put", lambda self, path, name: puts.append(name))
    assert source.copied(data, address) == shared
    assert puts == []
    assert DataSource.from_content(json.loads(json.dumps(shared.content()))) == shared
    monkeypatch.setenv("SEARCH_CACHE_DIR", str(tmp_path / "node"))
    fetched: list[str] = []
    fetch = Storage.fetch
    monkeypatch.setattr(Storage, "fetch", lambda self, name, to: fetched.append(name) or fetch(self, name, to))
    for _ in range(2):
        found = shared.load()
        assert found.fingerprint == data.fingerprint
        for name in cache.ARRAY_NAMES:
            np.testing.assert_array_equal(getattr(found, name), getattr(data, name))
    assert sorted(fetched) == sorted(Path(name).name for name in before)
