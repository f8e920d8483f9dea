"""Searches on clusters of several machines without a shared disk, that come, go, and die.

The machines are namespaces of this one (hosts.py): each has an address, a disk and processes of its own.
"""

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import PROJECT, write_spec
from mlflow.tracking import MlflowClient

from contract.events import EpochEnded, Event, TrialEnded, TrialStarted, from_content
from tests.hosts import HOME, Cluster, Host, hindrance

pytestmark = pytest.mark.ray
RAY = str(Path(sys.executable).with_name("ray"))
DASHBOARD = "http://127.0.0.1:8265"
KEYS = {"AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "made-up-secret"}
LONG = {"space": {"lr": {"loguniform": [1e-4, 1e-2]}, "batch_size": 8}, "scheduler": {"name": "none", "max_epochs": 15}}


class Job:
    """A search that was submitted to a cluster, as its user sees it."""

    def __init__(self, site: "Site", host: Host, spec: str, *options: str):
        self.site, self.name = site, spec.removesuffix(".yaml")
        self.log = host.folder / f"job-{time.time()}.log"
        self._host = host
        self.process = host.start(
            RAY, "job", "submit", "--address", DASHBOARD, "--working-dir", str(PROJECT), "--",
            sys.executable, "-m", "search.run", f"{HOME}/{spec}", "--no-report", *options, log=self.log.name,
        )  # fmt: skip

    @property
    def output(self) -> str:
        return self.log.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert self.process.poll() is None, self.output
            time.sleep(0.5)

    def finish(self) -> str:
        self.process.wait()
        return self.output

    def stop(self) -> None:
        id = re.search(r"raysubmit_\w+", self.output)[0]
        self._host.start(RAY, "job", "stop", "--address", DASHBOARD, id).communicate()

    def events(self) -> list[Event]:
        """The journal, as it is in the storage."""
        code = (
            "from search.storage.storage import Storage\n"
            f"s = Storage({self.site.storage!r}, {self.name!r})\n"
            "for id in s.folders()[-1:]:\n"
            "    for part in sorted(s.sizes(f'{id}/journal')):\n"
            "        print(s.read(f'{id}/journal/{part}').decode(), end='')\n"
        )
        printed = self.site.switch.start(sys.executable, "-c", code, **KEYS).communicate()[0]
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        return [from_content({key: value for key, value in line.items() if key != "crc"}) for line in lines]

    def epochs(self) -> int:
        return sum(isinstance(event, EpochEnded) for event in self.events())


class Site(Cluster):
    """A cluster with an object store and a tracking server beside it."""

    def open(self) -> None:
        super().open()
        self.storage, self.tracking = self.serve_s3(), self.serve_mlflow()
        self.environment = {**KEYS, "SEARCH_STORAGE": self.storage, "MLFLOW_TRACKING_URI": self.tracking.uri}

    def runs(self, experiment: str) -> dict[str, str]:
        """The status of each run, by its name."""
        client = MlflowClient(self.tracking.database)
        found = client.get_experiment_by_name(experiment)
        runs = client.search_runs([found.experiment_id]) if found else []
        assert len({r.info.run_name for r in runs}) == len(runs), "a run was doubled"
        return {r.info.run_name: r.info.status for r in runs}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if why := hindrance():
        pytest.skip(why)
    with contextlib.closing(Site(tmp_path)) as site:
        site.open()
        yield site


def assert_whole(job: Job, trials: int, epochs: int) -> None:
    """Every trial is complete, none of its epochs was taken twice, and MLflow has each once."""
    events = job.events()
    told = [(e.id, e.epoch) for e in events if isinstance(e, EpochEnded)]
    assert sorted(told) == [(f"trial-{n:04d}", e) for n in range(trials) for e in range(1, epochs + 1)]
    assert {e.outcome for e in events if isinstance(e, TrialEnded)} <= {"completed", "interrupted"}
    runs = job.site.runs(job.name)
    assert len(runs) == trials + 1
    assert set(runs.values()) == {"FINISHED"}


def test_a_job_runs_on_all_nodes_from_one_spec_and_what_would_be_lost_is_refused_first(site: Site):
    head = site.add("head", **site.environment)
    other = site.add("other", **site.environment)
    site.ready(2)
    write_spec(head.home / "job.yaml", budget={"trials": 4}, scheduler={"name": "none", "max_epochs": 2})
    job = Job(site, head, "job.yaml")
    output = job.finish()
    assert job.process.returncode == 0, output
    assert "2 trials at a time with 1 CPU each, of 2 CPUs, 0 GPUs on 2 nodes" in output
    assert f"{HOME}/search/results/job/" in output, "what the job leaves must not lie in the folder that Ray removes"
    assert_whole(job, trials=4, epochs=2)
    packages = (head.folder / "tmp").glob("ray/session_2*/runtime_resources/working_dir_files/_ray_pkg_*")
    (package,) = (path for path in packages if path.is_dir())
    assert sum(file.stat().st_size for file in package.rglob("*")) < 5e6
    assert not {".venv", "results", "mlruns", "mlflow.db", ".git"} & {path.name for path in package.iterdir()}
    copies = [host.home / ".cache" / "hyperparameter-search" for host in (head, other)]
    assert [len(list(copy.glob("digits-*/meta.json"))) for copy in copies] == [2, 1], "decoded there, fetched here"

    def refused(*options: str) -> str:
        process = head.start(
            sys.executable, "-m", "search.run", "job.yaml", "--address", site.address, *options, **site.environment
        )
        printed = process.communicate()[0]
        assert process.returncode == 2, printed
        return printed

    printed = refused(
        "--set", "tracking.uri=sqlite:///mlflow.db", "--set", f"storage={HOME}", "--set", "resources.cpu=2"
    )
    assert f"tracking.uri: sqlite:///{HOME}/mlflow.db is a file on one of 2 nodes" in printed
    assert f"storage: {HOME} cannot be used on {other.address}" in printed
    assert "resources.cpu: asks for 2 CPUs a trial, the largest of 2 nodes have 1" in printed
    missing = head.start(
        sys.executable, "-m", "search.run", "job.yaml", "--address", site.address,
        **{**site.environment, "SEARCH_STORAGE": ""},
    ).communicate()[0]  # fmt: skip
    assert "storage: is missing: checkpoints would be on one of 2 nodes" in missing


@pytest.mark.slow
def test_nodes_that_die_are_cut_off_or_join_cost_no_epoch_and_no_trial_its_chances(site: Site):
    head = site.add("head", **site.environment)
    for name in ("dies", "cut"):
        site.add(name, **site.environment)
    site.ready(3)
    write_spec(head.home / "nodes.yaml", budget={"trials": 6}, resources={"retries": 0}, **LONG)
    job = Job(site, head, "nodes.yaml")
    job.until(lambda: job.epochs() >= 6)
    site.hosts["dies"].kill()
    job.until(lambda: "was lost" in job.output)
    site.add("joins", **site.environment)
    job.until(lambda: "has joined: 3 trials at a time now" in job.output)
    before = job.epochs()
    job.until(lambda: job.epochs() >= before + 6)
    site.cut("cut")
    output = job.finish()
    assert job.process.returncode == 0, output
    for name in ("dies", "cut"):
        assert output.count(f"The node {site.hosts[name].address} (1 CPUs, 0 GPUs) was lost") == 1
    assert "marked dead" not in output
    assert_whole(job, trials=6, epochs=15)


@pytest.mark.slow
def test_a_job_that_is_stopped_or_whose_head_dies_is_gone_on_with_by_the_next(site: Site):
    def begin(head: str) -> Host:
        host = site.add(head, **site.environment)
        site.add(f"{head}-worker", **site.environment)
        site.ready(2)
        write_spec(host.home / "resumed.yaml", budget={"trials": 4}, **LONG)
        return host

    head = begin("head")
    job = Job(site, head, "resumed.yaml")
    job.until(lambda: job.epochs() >= 4)
    job.stop()
    output = job.finish()
    assert "interrupted after epoch" in output
    assert "ray job submit --working-dir . -- python -m search.run" in output
    assert set(site.runs("resumed").values()) == {"KILLED"}

    job = Job(site, head, "resumed.yaml", "--resume")
    before = job.epochs()
    job.until(lambda: job.epochs() >= before + 8)
    for name in ("head", "head-worker"):
        site.hosts.pop(name).kill()
    job.process.wait()
    assert "RUNNING" in site.runs("resumed").values()

    job = Job(site, begin("next"), "resumed.yaml", "--resume")
    output = job.finish()
    assert job.process.returncode == 0, output
    assert "contradicted" not in output
    assert_whole(job, trials=4, epochs=15)


@pytest.mark.slow
def test_parts_of_gpus_are_packed_and_models_get_what_they_need(site: Site):
    head = site.add("head", cpus=2, gpus=1, **site.environment)
    site.add("other", cpus=2, gpus=1, **site.environment)
    site.ready(2)
    write_spec(
        head.home / "packed.yaml",
        model={"choice": ["lenet", "mlp"]},
        space={"lr": 1e-3, "batch_size": 32},
        budget={"trials": 8},
        resources={"mlp": {"gpu": 1}, "default": {"gpu": 0.5}},
        scheduler={"name": "none", "max_epochs": 2},
    )
    job = Job(site, head, "packed.yaml")
    output = job.finish()
    assert job.process.returncode == 0, output
    assert "lenet with 1 CPU and 0.5 GPU, mlp with 1 CPU and 1 GPU, of 4 CPUs, 2 GPUs on 2 nodes" in output
    running, most = dict[str, float](), 0.0
    for event in job.events():
        if isinstance(event, TrialStarted):
            running[event.id] = {"lenet": 0.5, "mlp": 1.0}[event.params["model"]]
        elif isinstance(event, TrialEnded):
            running.pop(event.id)
        most = max(most, sum(running.values()))
    assert most == 2.0
    assert_whole(job, trials=8, epochs=2)


@pytest.mark.slow
def test_a_busy_cluster_shows_what_is_waited_for(site: Site):
    head = site.add("head", cpus=1, **site.environment)
    site.ready(1)
    hold = (
        "import ray, time; ray.init(); ray.get(ray.remote(num_cpus=1)(lambda: time.sleep(40)).remote()); print('held')"
    )
    other = head.start(sys.executable, "-c", hold)
    write_spec(head.home / "busy.yaml", budget={"trials": 2}, scheduler={"name": "none", "max_epochs": 1})
    job = Job(site, head, "busy.yaml")
    output = job.finish()
    assert "held" in other.communicate()[0]
    assert "waiting for resources: 1 for 1 CPU; free are 0 CPUs and 0 GPUs of 1 CPUs, 0 GPUs" in output
    assert_whole(job, trials=2, epochs=1)
