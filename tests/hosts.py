"""Machines of their own on this one: each has an address, processes, a home and a /tmp that the others cannot see.

Linux namespaces, joined by a bridge in a namespace without processes. What a machine's processes do to each other, and
to Ray, stays within it; killing its first process ends them all, as pulling the plug would.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import PROJECT

NETWORK = "10.93.0"
SWITCH = f"{NETWORK}.254"
"""Address of the namespace that holds the bridge: servers that are no part of the cluster run there."""
HOME = "/mnt"
"""Where each machine has its own home."""
RAY_PORT, MLFLOW_PORT, S3_PORT = 6379, 5000, 5005
QUICK = {
    # So that a lost link is noticed in seconds; Ray's own figures need a minute.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


def needed() -> None:
    """Skip the test where no namespaces can be made."""
    tried = subprocess.run(["unshare", "-n", "-p", "-m", "-i", "-f", "--mount-proc", "ip", "link"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"namespaces cannot be made here: {tried.stderr.decode().strip()}")


class Host:
    """One machine."""

    def __init__(self, folder: Path, address: str, own_disk: bool = True):
        self.folder, self.address = folder, address
        self.home, temporary = folder / "home", folder / "tmp"
        for path in (self.home, temporary):
            path.mkdir(parents=True, exist_ok=True)
        kinds = ["-n", "-p", "-m", "-i", "-u", "-f", "--mount-proc"] if own_disk else ["-n"]
        self._holder = subprocess.Popen(["unshare", *kinds, "sleep", "infinity"], stderr=subprocess.DEVNULL)
        self.pid = self._first_process() if own_disk else self._holder.pid
        self._enter = ["nsenter", "-t", str(self.pid), *(["-n", "-p", "-m", "-i", "-u"] if own_disk else ["-n"])]
        if own_disk:
            self("hostname", address.replace(".", "-"))
            # The folders of this test are under the /tmp that is hidden now, so they are reached by another name.
            self("mount", "--bind", str(self.home), HOME)
            self("mount", "--bind", str(temporary), "/tmp")  # noqa: S108 (Ray's sockets go there)
        self("ip", "link", "set", "lo", "up")

    def _first_process(self) -> int:
        while True:
            children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "sleep":
                return int(children[0])
            time.sleep(0.01)

    def start(self, *command: str, log: str | None = None, **environment: str) -> subprocess.Popen:
        """Start a command here, in the home."""
        own = {"HOME": HOME, "RAY_AUTH_MODE": "token", "RAY_ADDRESS": "auto", "SEARCH_EMULATED_GPUS": "1", **QUICK}
        inherited = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "SEARCH_CACHE_DIR")}
        everything = inherited | own | {"PYTHONPATH": str(PROJECT)} | environment
        output = open(self.folder / log, "ab") if log else subprocess.PIPE  # noqa: SIM115 (the process's)
        return subprocess.Popen(
            [*self._enter, f"--wdns={HOME}", *command] if "-m" in self._enter else [*self._enter, *command],
            env={k: v for k, v in everything.items() if v},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *command: str, **environment: str) -> str:
        """Run a command here; what it prints."""
        process = subprocess.Popen(
            [*self._enter, *command], env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        output = process.communicate()[0]
        assert process.returncode == 0, f"{command}: {output}"
        return output

    def kill(self) -> None:
        """End everything here at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._holder.wait()


class Cluster:
    """Machines on one network, one of which is Ray's head."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.hosts: dict[str, Host] = {}
        self.switch = Host(folder / "switch", SWITCH, own_disk=False)
        self.switch("ip", "link", "add", "br0", "type", "bridge")
        self.switch("ip", "address", "add", f"{SWITCH}/24", "dev", "br0")
        self.switch("ip", "link", "set", "br0", "up")
        self._servers: list[subprocess.Popen] = []

    def add(self, name: str, *, cpus: int = 1, gpus: int = 0, **environment: str) -> Host:
        """A further machine that joins the cluster; the first is its head."""
        number = len(list(self.folder.glob("host-*"))) + 1
        host = Host(self.folder / f"host-{number}", f"{NETWORK}.{number}")
        self.hosts[name] = host
        subprocess.run(
            ["nsenter", "-t", str(self.switch.pid), "-n", "ip", "link", "add", f"v{number}", "type", "veth",
             "peer", "name", "eth0", "netns", str(host.pid)], check=True,
        )  # fmt: skip
        self.switch("ip", "link", "set", f"v{number}", "master", "br0", "up")
        host("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        host("ip", "link", "set", "eth0", "up")
        host.link = f"v{number}"
        token = host.home / ".ray" / "auth_token"
        token.parent.mkdir(exist_ok=True)
        token.write_text("0123456789abcdef" * 4)
        token.chmod(0o600)
        self.join(name, cpus=cpus, gpus=gpus, **environment)
        return host

    def join(self, name: str, *, cpus: int = 1, gpus: int = 0, **environment: str) -> None:
        """Start Ray on a machine."""
        host, head = self.hosts[name], self.head
        role = ["--head", "--port", str(RAY_PORT), "--dashboard-host", "127.0.0.1"]
        role = role if host is head else ["--address", f"{head.address}:{RAY_PORT}"]
        host.ray = host.start(
            str(Path(sys.executable).with_name("ray")), "start", *role, "--block", "--num-cpus", str(cpus),
            "--num-gpus", str(gpus), "--node-ip-address", host.address, "--object-store-memory", str(100 * 2**20),
            log="ray.log", **({"RAY_JOB_STOP_WAIT_TIME_S": "60"} | environment),
        )  # fmt: skip

    def ready(self, nodes: int) -> None:
        """Wait until so many nodes are there."""
        code = "import ray; ray.init(log_to_driver=False, logging_level='ERROR'); "
        code += "print('nodes', sum(n['Alive'] for n in ray.nodes()))"
        self.until(lambda: f"nodes {nodes}" in self.head.start(sys.executable, "-c", code).communicate()[0])

    @property
    def head(self) -> Host:
        return next(iter(self.hosts.values()))

    @property
    def address(self) -> str:
        return f"{self.head.address}:{RAY_PORT}"

    @property
    def mlflow(self) -> str:
        return f"http://{SWITCH}:{MLFLOW_PORT}"

    @property
    def storage(self) -> str:
        return f"s3://searches/all?endpoint_override=http%3A%2F%2F{SWITCH}%3A{S3_PORT}&scheme=http&region=us-east-1"

    def serve_mlflow(self) -> str:
        """A tracking server outside the cluster; the address of its database, for this process."""
        database = f"sqlite:///{self.folder}/mlflow.db"
        self._serve(
            "mlflow", "server", "--host", SWITCH, "--port", str(MLFLOW_PORT), "--backend-store-uri", database,
            "--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1", "--allowed-hosts", "*",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        )  # fmt: skip
        self.until(lambda: self._answers(f"{self.mlflow}/health"))
        return database

    def serve_s3(self) -> str:
        """An S3-compatible server outside the cluster, with a bucket; its storage's address."""
        self._serve("moto.server", "-H", SWITCH, "-p", str(S3_PORT))
        self.until(lambda: self._answers(f"http://{SWITCH}:{S3_PORT}/moto-api/"))
        self.switch("curl", "-sf", "-X", "PUT", f"http://{SWITCH}:{S3_PORT}/searches")
        return self.storage

    def _serve(self, module: str, *arguments: str, **environment: str) -> None:
        log = f"{module.partition('.')[0]}.log"
        self._servers.append(self.switch.start(sys.executable, "-m", module, *arguments, log=log, **environment))

    def _answers(self, address: str) -> bool:
        code = f"import urllib.request; urllib.request.urlopen({address!r}, timeout=5)"
        return self.switch.start(sys.executable, "-c", code).wait() == 0

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        while not condition():
            time.sleep(0.2)

    def cut(self, name: str) -> None:
        """Take a machine's cable out."""
        self.switch("ip", "link", "set", self.hosts[name].link, "down")

    def close(self) -> None:
        for host in self.hosts.values():
            host.kill()
        for server in self._servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        self.switch.kill()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A network without machines."""
    needed()
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.close()
