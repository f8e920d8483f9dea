"""How many trials fit: pure arithmetic, no Ray process."""

from pathlib import Path

import pytest
from conftest import write_spec

from search.cluster import Slots, plan
from search.spec import Spec, load


def spec(tmp_path: Path, resources: dict | None = None, **budget: object) -> Spec:
    return load(write_spec(tmp_path / "s.yaml", resources=resources or {}, budget={"trials": 100, **budget}))


def unmeasured() -> float:
    raise AssertionError("there is no GPU to measure on")


@pytest.mark.parametrize(
    ("there", "resources", "expected"),
    [
        ({"CPU": 2}, {}, Slots(1, 0, 2)),
        ({"CPU": 8}, {"cpu": 3}, Slots(3, 0, 2)),
        ({"CPU": 8, "GPU": 1}, {"gpu": 0}, Slots(1, 0, 8)),
        ({"CPU": 8, "GPU": 2}, {"gpu": 1}, Slots(1, 1, 2)),
        ({"CPU": 16, "GPU": 2}, {"gpu": 0.25}, Slots(1, 0.25, 8)),
        ({"CPU": 3, "GPU": 1}, {"gpu": 0.25}, Slots(1, 0.25, 3)),
        ({"CPU": 8, "GPU": 4}, {"gpu": 2}, Slots(1, 2, 2)),
    ],
)
def test_slots_follow_from_what_is_there_and_asked(tmp_path: Path, there, resources, expected):
    assert plan(spec(tmp_path, resources), there, unmeasured) == (expected, [])


@pytest.mark.parametrize(
    ("share", "cpus", "trials_a_gpu"),
    [(0.04, 32, 8), (0.2, 32, 4), (0.5, 32, 1), (0.3, 32, 3), (0.01, 4, 4), (0.97, 8, 1)],
)
def test_gpu_auto_packs_by_measured_memory_cores_and_a_limit(tmp_path: Path, share, cpus, trials_a_gpu):
    slots, problems = plan(spec(tmp_path), {"CPU": cpus, "GPU": 1}, lambda: share)
    assert not problems
    assert slots.concurrent == trials_a_gpu
    assert slots.device == "cuda"
    assert slots.gpu * trials_a_gpu <= 1


def test_no_more_slots_than_trials_or_than_wanted(tmp_path: Path):
    assert plan(spec(tmp_path, trials=3), {"CPU": 8}, unmeasured)[0].concurrent == 3
    assert plan(spec(tmp_path, concurrent=2), {"CPU": 8}, unmeasured)[0].concurrent == 2
    assert plan(spec(tmp_path, concurrent=20), {"CPU": 8}, unmeasured)[0].concurrent == 8


@pytest.mark.parametrize(
    ("resources", "key", "text"),
    [
        ({"gpu": 1}, "resources.gpu", "asks for 1 GPUs a trial, there are 0"),
        ({"gpu": 0.5}, "resources.gpu", "asks for 0.5 GPUs a trial, there are 0"),
        ({"cpu": 64}, "resources.cpu", "asks for 64 CPUs a trial, there are 2"),
    ],
)
def test_what_can_never_be_met_is_refused(tmp_path: Path, resources, key, text):
    _, problems = plan(spec(tmp_path, resources), {"CPU": 2}, unmeasured)
    assert [p.key for p in problems] == [key]
    assert text in problems[0].text
