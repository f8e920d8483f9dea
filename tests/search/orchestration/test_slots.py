"""How many trials fit: pure arithmetic, no Ray process."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import write_spec

from search.errors import UserError
from search.orchestration.slots import EMULATED, Node, Share, Slots, plan
from search.spec.loader import load
from search.spec.spec import Spec

MANY = {"model": {"choice": ["lenet", "resnet18"]}, "data": {"name": "cifar10"}}


def spec(tmp_path: Path, resources: dict | None = None, *, sections: dict | None = None, **budget: object) -> Spec:
    budget = {"trials": 100, **budget}
    return load(write_spec(tmp_path / "s.yaml", resources=resources or {}, budget=budget, **(sections or {})))


def nodes(*sizes: tuple[int, int]) -> list[Node]:
    """Nodes of so many CPUs and GPUs each."""
    return [Node(f"n{i}", f"10.0.0.{i}", cpu, gpu) for i, (cpu, gpu) in enumerate(sizes)]


def unmeasured() -> Mapping[str, float]:
    raise AssertionError("there is no GPU to measure on")


@pytest.mark.parametrize(
    ("there", "resources", "share", "concurrent"),
    [
        ([(2, 0)], {}, Share(0, 1), 2),
        ([(8, 0)], {"cpu": 3}, Share(0, 3), 2),
        ([(8, 1)], {"gpu": 0}, Share(0, 1), 8),
        ([(8, 2)], {"gpu": 1}, Share(1, 1), 2),
        ([(16, 2)], {"gpu": 0.25}, Share(0.25, 1), 8),
        ([(3, 1)], {"gpu": 0.25}, Share(0.25, 1), 3),
        ([(8, 4)], {"gpu": 2}, Share(2, 1), 2),
        ([(8, 1)], {"gpu": 0.4}, Share(0.4, 1), 2),
        ([(3, 0), (3, 0)], {"cpu": 2}, Share(0, 2), 2),  # not 6 // 2: a trial is on one machine
        ([(16, 0), (4, 1)], {"gpu": 0.1}, Share(0.1, 1), 4),
        ([(8, 1), (8, 1)], {"gpu": 1}, Share(1, 1), 2),
    ],
)
def test_slots_follow_from_what_is_there_and_asked(tmp_path: Path, there, resources, share, concurrent):
    slots, problems = plan(spec(tmp_path, resources), nodes(*there), unmeasured)
    assert not problems
    assert slots.shares == {"lenet": share}
    assert slots.concurrent == concurrent
    running = ["lenet"] * concurrent
    assert slots.room(running[1:])
    assert not slots.room(running)


@pytest.mark.parametrize(
    ("part", "cpus", "trials_a_gpu"),
    [(0.04, 32, 8), (0.2, 32, 4), (0.5, 32, 1), (0.3, 32, 3), (0.01, 4, 4), (0.97, 8, 1)],
)
def test_gpu_auto_packs_by_measured_memory_cores_and_a_limit(tmp_path: Path, part, cpus, trials_a_gpu):
    slots, problems = plan(spec(tmp_path), nodes((cpus, 1)), lambda: {"lenet": part})
    assert not problems
    assert slots.concurrent == trials_a_gpu
    assert slots.devices == "cuda"
    assert slots.shares["lenet"].gpu * trials_a_gpu <= 1


def test_gpu_auto_gives_each_model_what_it_was_measured_to_take(tmp_path: Path):
    measured = {"lenet": 0.1, "resnet18": 0.45}
    slots, _ = plan(spec(tmp_path, sections=MANY), nodes((32, 1)), lambda: measured)
    assert {model: share.gpu for model, share in slots.shares.items()} == {"lenet": 0.125, "resnet18": 0.5}


def test_no_more_slots_than_trials_or_than_wanted(tmp_path: Path):
    machine = nodes((8, 0))
    assert plan(spec(tmp_path, trials=3), machine, unmeasured)[0].concurrent == 3
    assert plan(spec(tmp_path, concurrent=2), machine, unmeasured)[0].concurrent == 2
    assert plan(spec(tmp_path, concurrent=20), machine, unmeasured)[0].concurrent == 8


def test_a_cluster_that_may_grow_is_asked_for_as_many_as_are_wanted(tmp_path: Path):
    slots, _ = plan(spec(tmp_path, concurrent=20), nodes((8, 0)), unmeasured, joined=True)
    assert slots.concurrent == 20
    assert slots.room(["lenet"] * 19)
    slots, problems = plan(spec(tmp_path, {"gpu": 1}), nodes((8, 0)), unmeasured, joined=True, coming=nodes((4, 1)) * 3)
    assert not problems
    assert slots.concurrent == 3


@pytest.mark.parametrize(
    ("resources", "there", "key", "text"),
    [
        ({"gpu": 1}, [(2, 0)], "resources.gpu", "asks for 1 GPUs a trial, there are 0"),
        ({"gpu": 0.5}, [(2, 0)], "resources.gpu", "asks for 0.5 GPUs a trial, there are 0"),
        ({"cpu": 64}, [(2, 0)], "resources.cpu", "asks for 64 CPUs a trial, there are 2"),
        ({"cpu": 6}, [(4, 0), (4, 0)], "resources.cpu", "asks for 6 CPUs a trial, the largest of 2 nodes have 4"),
        ({"default": {"gpu": 2}}, [(4, 1), (4, 1)], "resources.gpu", "the largest of 2 nodes have 1"),
        (
            {"cpu": 8, "gpu": 1},
            [(16, 0), (4, 1)],
            "resources.gpu",
            "8 CPU and 1 GPU a trial, which no node has together: there are 10.0.0.0 (16 CPUs, 0 GPUs), 10.0.0.1 (4 ",
        ),
    ],
)
def test_what_can_never_be_met_is_refused(tmp_path: Path, resources, there, key, text):
    _, problems = plan(spec(tmp_path, resources), nodes(*there), unmeasured)
    assert [p.key for p in problems] == [key]
    assert text in problems[0].text


def test_models_are_given_what_the_spec_says_of_them(tmp_path: Path):
    resources = {"resnet18": {"gpu": 1, "cpu": 2}, "default": {"gpu": 0.25}, "retries": 7}
    found = spec(tmp_path, resources, sections=MANY)
    assert found.resources.retries == 7
    slots, problems = plan(found, nodes((8, 2)), unmeasured)
    assert not problems
    assert slots.shares == {"lenet": Share(0.25, 1), "resnet18": Share(1, 2)}
    assert slots.concurrent == 8
    assert "lenet with 1 CPU and 0.25 GPU, resnet18 with 2 CPU and 1 GPU" in slots.describe()
    assert slots.room(["resnet18"], "resnet18")
    assert slots.room(["resnet18", *["lenet"] * 3])
    assert not slots.room(["lenet", "resnet18"], "resnet18")
    assert not slots.room(["resnet18", *["lenet"] * 4])


def test_a_model_s_own_request_that_cannot_be_met_is_told_at_its_key(tmp_path: Path):
    found = spec(tmp_path, {"resnet18": {"gpu": 4}, "default": {"gpu": 0.25}}, sections=MANY)
    _, problems = plan(found, nodes((8, 2)), unmeasured)
    assert [p.key for p in problems] == ["resources.resnet18.gpu"]


def test_trials_without_a_gpu_leave_room_on_the_machines_that_have_one():
    slots = Slots({"a": Share(0, 2), "b": Share(1, 1)}, nodes((2, 0), (2, 1)), 10)
    assert slots.room(["a"], "b")
    assert slots.room(["b"], "a")
    assert not slots.room(["a", "b"])


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ({"vgg16": {"gpu": 1}}, "resources.vgg16: no trial trains it; the models are: lenet, resnet18"),
        ({"resnet18": {"gpus": 1}}, "resources.resnet18.gpus: unknown key (did you mean 'gpu'?); there is: cpu, gpu"),
        ({"resnet18": {"gpu": 1.5}}, "resources.resnet18.gpu: must be a whole number above 1"),
        ({"gpu": 2.5}, "resources.gpu: must be a whole number above 1"),
        ({"default": {"cpu": 0}}, "resources.default.cpu: must be greater than or equal to 1"),
        ({"cpu": 1, "default": {"cpu": 2}}, "resources.cpu: is given both here and under default"),
        ({"default": {"retries": 3}}, "resources.default.retries: unknown key"),
        ({"resnet18": 1}, "resources.resnet18: unknown key"),
    ],
)
def test_mistakes_in_resources_are_told_with_their_key(tmp_path: Path, resources, told):
    with pytest.raises(UserError) as caught:
        spec(tmp_path, resources, sections=MANY)
    assert told in str(caught.value)


def test_emulated_gpus_are_counted_and_trained_on_the_cpu(monkeypatch: pytest.MonkeyPatch):
    slots = Slots({"a": Share(0.5, 1)}, nodes((4, 1)), 10)
    assert (slots.devices, slots.concurrent) == ("cuda", 2)
    monkeypatch.setenv(EMULATED, "1")
    assert (slots.devices, slots.concurrent) == ("cpu", 2)
    assert "emulated" in slots.describe()
