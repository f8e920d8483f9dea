"""The files that start a cluster: accepted by those who read them, and what their commands do, with stubs for Ray."""

import contextlib
import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import free_port

pytestmark = pytest.mark.process
PROJECT = Path(__file__).parent.parent
DEPLOY = PROJECT / "deploy"
CLUSTER = (PROJECT / "cluster.yaml").read_text()
CLOUDS = ("aws", "gcp")
FIELDS = json.loads((Path(__file__).parent / "kubernetes_fields.json").read_text())["types"]
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kuberay/rayjob.yaml").read_text()))
SBATCH = DEPLOY / "slurm/search.sbatch"


def cluster(block: str | None = None) -> dict[str, Any]:
    """cluster.yaml, as it is or with a block of it uncommented, as `ray up` reads and checks it."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(uncommented(block) if block else CLUSTER))
    validate_config(config)
    return config


def uncommented(block: str) -> str:
    lines = CLUSTER.splitlines()
    begin, end = lines.index(f"# >>> {block}"), lines.index(f"# <<< {block}")
    assert all(line.startswith("# ") for line in lines[begin:end])
    return "\n".join([*lines[:begin], *(line.removeprefix("# ") for line in lines[begin + 1 : end]), *lines[end:]])


# --- cluster.yaml


def test_ray_accepts_the_cluster_as_it_is():
    config = cluster()
    assert config["provider"]["type"] == "local"
    assert config["max_workers"] == len(config["provider"]["worker_ips"])


@pytest.mark.parametrize("block", CLOUDS)
def test_ray_accepts_a_block_for_a_cloud_in_place_of_the_machines_of_ones_own(block):
    config = cluster(block)
    assert config["provider"]["type"] == block
    assert "ssh_private_key" not in config["auth"]
    workers = config["available_node_types"]["gpu"]
    assert 1 <= workers["min_workers"] <= workers["max_workers"] == config["max_workers"]
    spot = {"aws": ("InstanceMarketOptions", "MarketType", "spot"), "gcp": ("scheduling", "provisioningModel", "SPOT")}
    section, key, value = spot[block]
    assert workers["node_config"][section][key] == value
    assert section not in config["available_node_types"][config["head_node_type"]]["node_config"]


@pytest.mark.parametrize("block", CLOUDS)
@pytest.mark.parametrize(
    ("right", "wrong"), [("  resources:", "  resource:"), ("head_node_type: head", "head_node_type: other")]
)
def test_a_block_that_rots_is_noticed(monkeypatch, block, right, wrong):
    assert right in uncommented(block)
    monkeypatch.setattr(sys.modules[__name__], "CLUSTER", CLUSTER.replace(right, wrong))
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        cluster(block)


@pytest.mark.parametrize("block", [None, *CLOUDS])
def test_what_is_shipped_and_installed_is_the_projects_own(block):
    config = cluster(block)
    shipped = {place: file for place, file in config["file_mounts"].items() if not file.startswith("~")}
    assert all((PROJECT / file).is_file() for file in shipped.values())
    commands = "\n".join(config["head_setup_commands"])
    assert "--requirement ~/search/requirements.txt" in commands
    assert re.findall(r"uv==\S+", commands) == ["uv==" + _version_in("Makefile", r"UV_VERSION := (\S+)")]


class Machine:
    """A home folder and the commands of a cluster.yaml run there by bash; programs are stubs that note their calls."""

    def __init__(self, folder: Path):
        self.home, self.bin, self.calls = folder / "home", folder / "bin", folder / "calls"
        for made in (self.home / "search", self.home / ".ray", self.bin, self.calls):
            made.mkdir(parents=True)
        (self.home / ".ray/auth_token").write_text("secret")
        (self.home / ".ray/auth_token").chmod(0o644)
        self.stub("ray")
        (self.bin / "hostname").write_text("#!/bin/sh\necho 10.0.0.9 172.17.0.1\n")
        (self.bin / "hostname").chmod(0o755)
        (self.home / "search/mlflow_server.sh").write_text(self._noting("mlflow_server"))

    def stub(self, name: str, script: str = "") -> None:
        """Put a program in the way that notes its arguments and environment, and then does `script`."""
        (self.bin / name).write_text(self._noting(name) + script)
        (self.bin / name).chmod(0o755)

    def _noting(self, name: str) -> str:
        return f"""#!/usr/bin/env bash
n=$(ls {self.calls} | wc -l)
printf '%s\\0' {name} "$@" > {self.calls}/$n
env -0 > {self.calls}/$n.env
"""

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """As Ray's updater does, but for the pseudo-terminal."""
        given = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin"} | environment
        script = f"source ~/.bashrc; export OMP_NUM_THREADS=1 && ({command})"
        done = subprocess.run(["bash", "-c", script], env=given, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done

    def called(self) -> list[tuple[list[str], dict[str, str]]]:
        """Arguments and environment of each call of a stub."""
        found = sorted(
            (path for path in self.calls.iterdir() if path.suffix != ".env"), key=lambda path: int(path.name)
        )
        return [(_parts(self.calls / f"{n}"), _variables(self.calls / f"{n}.env")) for n in found]


def _parts(file: Path) -> list[str]:
    return file.read_text().split("\0")[:-1]


def _variables(file: Path) -> dict[str, str]:
    return dict(part.split("=", 1) for part in _parts(file))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One that the setup commands have been run on, twice, but for the installation."""
    made = Machine(tmp_path)
    for command in [*cluster()["setup_commands"]] * 2:
        if "pip install" not in command:
            made.run(command)
    assert (made.home / ".bashrc").read_text().count("env.sh") == 1
    return made


@pytest.mark.parametrize("block", [None, *CLOUDS])
@pytest.mark.parametrize("role", ["head", "worker"])
def test_ray_is_started_with_what_jobs_and_trials_need(machine, block, role):
    for command in cluster(block)[f"{role}_start_ray_commands"]:
        # Ray writes these in front.
        given = "RAY_enable_autoscaler_v2=1" if role == "head" else "RAY_HEAD_IP=10.0.0.9"
        machine.run(f"export {given}; {command}")
    assert (machine.home / ".ray/auth_token").stat().st_mode & 0o777 == 0o600
    calls = machine.called()
    assert [arguments[:2] for arguments, _ in calls] == [
        ["ray", "stop"],
        *([["mlflow_server"]] if role == "head" else []),
        ["ray", "start"],
    ]
    arguments, environment = calls[-1]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert int(environment["RAY_JOB_STOP_WAIT_TIME_S"]) > 60
    assert environment["MLFLOW_TRACKING_URI"] == "http://10.0.0.9:5000"
    assert environment["SEARCH_DATA_DIR"]
    assert environment["SEARCH_STORAGE"]
    assert environment["PATH"].startswith(f"{machine.home}/search/venv/bin:")
    if role == "head":
        assert "--dashboard-host=127.0.0.1" in arguments
        # Autoscaler v2 loses workers of machines of one's own.
        assert environment["RAY_enable_autoscaler_v2"] == ("1" if block else "0")
        server = calls[1][1]
        assert server["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{machine.home}/search/mlflow/mlflow.db"
        assert server["MLFLOW_ARTIFACTS_DESTINATION"] == f"{machine.home}/search/mlflow/artifacts"
    else:
        assert "--address=10.0.0.9:6379" in arguments


# --- deploy/mlflow_server.sh

SERVER = """#!{python}
import http.server, os, sys
open("calls", "a").write(" ".join(sys.argv[1:]) + " jobs=" + os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"]
    + " hosts=" + os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] + "\\n")
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")
{fault}
host, port = (sys.argv[sys.argv.index(option) + 1] for option in ("--host", "--port"))
http.server.HTTPServer((host, int(port)), Health).serve_forever()
"""


class MlflowServer:
    """deploy/mlflow_server.sh with a stub for mlflow."""

    def __init__(self, folder: Path):
        self.folder, self.bin = folder / "mlflow", folder / "bin"
        self.folder.mkdir()
        self.bin.mkdir()
        (self.bin / "python").symlink_to(sys.executable)
        self.port = free_port()
        self.stub()

    def stub(self, fault: str = "") -> None:
        (self.bin / "mlflow").write_text(SERVER.format(python=sys.executable, fault=fault))
        (self.bin / "mlflow").chmod(0o755)

    def start(self, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "MLFLOW_SERVER_DIR": str(self.folder),
            "MLFLOW_PORT": f"{self.port}",
        }
        command = ["bash", str(DEPLOY / "mlflow_server.sh")]
        return subprocess.run(command, env=given | environment, capture_output=True, text=True, timeout=60)

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path)
    yield server
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((server.folder / "server.pid").read_text()), signal.SIGKILL)


def test_the_mlflow_server_is_started_once(mlflow_server):
    first = mlflow_server.start()
    assert first.returncode == 0, first.stderr
    assert f"127.0.0.1:{mlflow_server.port}" in first.stdout
    assert str(mlflow_server.folder / "server.log") in first.stdout
    again = mlflow_server.start()
    assert (again.returncode, "already" in again.stdout) == (0, True)
    [call] = mlflow_server.calls()
    assert f"--backend-store-uri sqlite:///{mlflow_server.folder}/mlflow.db" in call
    assert f"--artifacts-destination {mlflow_server.folder}/artifacts" in call
    assert "jobs=false" in call
    # Nodes reach it by any of its addresses, public ones too.
    hosts = call.partition("hosts=")[2].split(",")
    addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    assert {f"{name}:*" for name in ["localhost", *addresses]} <= set(hosts)


def test_the_mlflow_server_outlives_the_session_that_started_it(mlflow_server):
    mlflow_server.start()
    pid = int((mlflow_server.folder / "server.pid").read_text())
    assert os.getsid(pid) == pid != os.getsid(0)


def test_an_open_mlflow_server_is_said_to_be_one(mlflow_server):
    environment = {"MLFLOW_HOST": "0.0.0.0", "MLFLOW_BACKEND_STORE_URI": "postgresql://db/mlflow"}  # noqa: S104
    shown = mlflow_server.start(**environment, MLFLOW_ARTIFACTS_DESTINATION="s3://bucket/mlflow").stdout
    assert "asks for no password" in shown
    [call] = mlflow_server.calls()
    assert "--host 0.0.0.0" in call
    assert "--backend-store-uri postgresql://db/mlflow --artifacts-destination s3://bucket/mlflow" in call


def test_the_mlflow_server_asks_for_a_password_where_one_is_given(mlflow_server):
    (mlflow_server.folder / "auth.env").write_text("export MLFLOW_FLASK_SERVER_SECRET_KEY=x\n")
    shown = mlflow_server.start(MLFLOW_HOST="0.0.0.0").stdout  # noqa: S104
    assert "no password" not in shown
    assert "--app-name basic-auth" in mlflow_server.calls()[0]


@pytest.mark.parametrize("end", ["sys.exit(1)", "import time; time.sleep(60)"], ids=["dies", "hangs"])
def test_an_mlflow_server_that_does_not_come_up_is_a_failure_with_the_reason(mlflow_server, end):
    mlflow_server.stub(f"print('the disk is full', flush=True); {end}")
    failed = mlflow_server.start(MLFLOW_SERVER_PATIENCE_S="2")
    assert failed.returncode == 1
    assert "the disk is full" in failed.stderr
    assert str(mlflow_server.folder / "server.log") in failed.stderr


# --- deploy/kuberay


def unknown(value: object, kind: str, where: str = "") -> Iterator[str]:
    """What Kubernetes would not take: fields that a type has not, and values of another type."""
    if kind in FIELDS or kind == "object":
        if not isinstance(value, dict):
            yield f"{where}: not an object"
        elif kind in FIELDS:
            for name, inner in value.items():
                if name in FIELDS[kind]:
                    yield from unknown(inner, FIELDS[kind][name], f"{where}.{name}")
                else:
                    yield f"{where}.{name}: no field of {kind}"
    elif kind[0] in "[{":
        if not isinstance(value, list if kind[0] == "[" else dict):
            yield f"{where}: not a {'list' if kind[0] == '[' else 'map'}"
            return
        for key, inner in enumerate(value) if isinstance(value, list) else value.items():
            yield from unknown(inner, kind[1:-1], f"{where}.{key}")
    elif "|" in kind:
        if value not in kind.split("|"):
            yield f"{where}: not one of {kind}"
    elif kind != "any" and type(value) not in {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "quantity": (str, int),
    }.get(kind, ()):
        yield f"{where}: not a {kind}"


def _job() -> dict[str, Any]:
    [job] = [document for document in KUBERNETES if document["kind"] == "RayJob"]
    return copy.deepcopy(job)


@pytest.mark.parametrize(
    "document", KUBERNETES, ids=lambda document: f"{document['kind']}/{document['metadata']['name']}"
)
def test_kubernetes_takes_every_field(document):
    assert list(unknown(document, document["kind"])) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.entrypont", "x"),
        ("spec.rayClusterSpec.authOptions.mode", "tokn"),
        ("spec.rayClusterSpec.workerGroupSpecs.0.maxReplicas", "4"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.image", ["x"]),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.tolerations.0.efect", "NoSchedule"),
    ],
)
def test_a_field_that_kubernetes_would_not_take_is_noticed(path, value):
    job = _job()
    *way, last = path.split(".")
    place: Any = job
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[last] = value
    assert [problem.split(":")[0] for problem in unknown(job, "RayJob")] == [f".{path}"]


def test_the_job_finds_its_server_and_its_storage():
    from ray.runtime_env import RuntimeEnv

    spec = _job()["spec"]
    environment = RuntimeEnv(**yaml.safe_load(spec["runtimeEnvYAML"]))["env_vars"]
    services = {
        f"http://{document['metadata']['name']}:{document['spec']['ports'][0]['port']}"
        for document in KUBERNETES
        if document["kind"] == "Service"
    }
    assert environment["MLFLOW_TRACKING_URI"] in services
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert any(environment["SEARCH_STORAGE"].startswith(f"{path}/") for path in mounted)
        assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}
    claims = {document["metadata"]["name"] for document in KUBERNETES if document["kind"].endswith("Claim")}
    assert {name for document in KUBERNETES for name in _values(document, "claimName")} == claims


def test_the_job_is_of_this_project():
    spec = _job()["spec"]
    version = _version_in("requirements.txt", r"ray==(\S+)")
    assert spec["rayClusterSpec"]["rayVersion"] == version
    assert f"FROM rayproject/ray:{version}-" in (DEPLOY / "kuberay/Dockerfile").read_text()
    program, spaces = re.fullmatch(r"python -u -m (\S+) /search/(\S+)", spec["entrypoint"]).groups()
    assert (PROJECT / program.replace(".", "/")).with_suffix(".py").is_file()
    assert (PROJECT / spaces).is_file()


def test_the_job_leaves_nothing_running_and_lets_nobody_else_in():
    spec = _job()["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    [head] = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert int({e["name"]: e["value"] for e in head["env"]}["RAY_JOB_STOP_WAIT_TIME_S"]) > 60
    for group in spec["rayClusterSpec"]["workerGroupSpecs"]:
        assert 1 <= group["minReplicas"] <= group["maxReplicas"]
        assert "nvidia.com/gpu" in group["template"]["spec"]["containers"][0]["resources"]["limits"]


def _values(node: object, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from [value] if name == key else _values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value, key)


# --- deploy/slurm

SLURM = {"SLURM_JOB_NUM_NODES": "3", "SLURM_CPUS_PER_TASK": "16"}
RAY = """
while [ "$1" != -- ] && [ $# -gt 0 ]; do shift; done
shift && "$@"
"""
DRIVER = """
trap 'echo ended cleanly; exit 130' TERM
touch {folder}/begun
while :; do sleep 0.1; done
"""


def _slurm(folder: Path, driver: str, **more: str) -> tuple[Machine, subprocess.Popen[str]]:
    """Begin the script where `srun` runs its command once, here, and `ray symmetric-run` its entrypoint."""
    machine = Machine(folder)
    machine.stub("srun", 'while [[ $1 == --* ]]; do shift; done; "$@"')
    machine.stub("ray", RAY)
    machine.stub("python", driver)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").touch()
    (folder / "deploy").mkdir()
    (machine.home / "search/mlflow_server.sh").rename(folder / "deploy/mlflow_server.sh")
    environment = {"HOME": str(machine.home), "PATH": f"{machine.bin}:/usr/bin:/bin"} | SLURM | more
    command = ["bash", str(SBATCH), "spaces/lenet.yaml", "--resume"]
    return machine, subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("status", [0, 3])
def test_slurm_runs_the_search_and_ends_as_it_ends(tmp_path, status):
    machine, job = _slurm(tmp_path, f"exit {status}")
    job.communicate(timeout=60)
    assert job.returncode == status
    calls = {arguments[0]: (arguments[1:], environment) for arguments, environment in machine.called()}
    assert calls["srun"][0][:3] == ["--nodes=3", "--ntasks=3", "--cpus-per-task=16"]
    options, environment = calls["ray"]
    assert options[: options.index("--")] == [
        *("symmetric-run", "--address", "10.0.0.9:6379"),
        *("--min-nodes", "3", "--num-cpus", "16"),
    ]
    assert calls["python"][0] == [
        *("-u", "-m", "search.run", "spaces/lenet.yaml", "--resume"),
        *("--address", "10.0.0.9:6379"),
    ]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["SEARCH_STORAGE"] == f"{tmp_path}/results"
    assert (machine.home / ".ray/auth_token").stat().st_mode & 0o777 == 0o600


def test_slurm_starts_a_tracking_server_on_the_folders_own_record(tmp_path):
    machine, job = _slurm(tmp_path, "exit 0")
    job.communicate(timeout=60)
    [(server, driver)] = [
        (first[1], last[1]) for first, *_, last in [machine.called()] if first[0] == ["mlflow_server"]
    ]
    assert driver["MLFLOW_TRACKING_URI"] == f"http://{server['MLFLOW_HOST']}:{server['MLFLOW_PORT']}"
    assert server["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert server["MLFLOW_ARTIFACTS_DESTINATION"] == f"{tmp_path}/mlartifacts"


def test_slurm_takes_the_tracking_server_that_is_named(tmp_path):
    machine, job = _slurm(tmp_path, "exit 0", MLFLOW_TRACKING_URI="https://mlflow.example.org")
    job.communicate(timeout=60)
    calls = {arguments[0]: environment for arguments, environment in machine.called()}
    assert "mlflow_server" not in calls
    assert calls["python"]["MLFLOW_TRACKING_URI"] == "https://mlflow.example.org"


def test_before_the_time_limit_the_driver_is_told_to_end(tmp_path):
    _, job = _slurm(tmp_path, DRIVER.format(folder=tmp_path))
    while not (tmp_path / "begun").exists():
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    shown, _ = job.communicate(timeout=60)
    assert "ended cleanly" in shown
    assert job.returncode == 130


def test_slurm_is_asked_for_whole_nodes_one_task_each_and_a_warning():
    lines = SBATCH.read_text().splitlines()
    asked = dict(re.findall(r"(?m)^#SBATCH --([\w-]+)(?:=(\S+))?", SBATCH.read_text()))
    # All of them before the first command: Slurm stops reading there.
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert len(asked) == sum(line.startswith("#SBATCH") for line in lines[:first])
    assert (asked["ntasks-per-node"], "exclusive" in asked) == ("1", True)
    warned, seconds = asked["signal"].split("@")
    assert (warned, int(seconds) > 60) == ("B:USR1", True)
    assert {"nodes", "cpus-per-task", "gpus-per-node", "time"} <= set(asked)


@pytest.mark.parametrize("script", [*DEPLOY.rglob("*.sh"), SBATCH], ids=lambda path: path.name)
def test_a_script_is_whole(script):
    subprocess.run(["bash", "-n", str(script)], check=True)


def _version_in(file: str, pattern: str) -> str:
    found = re.search(rf"(?m)^{pattern}", (PROJECT / file).read_text())
    assert found
    return found[1]
