"""Machines of their own on this one: each has an address, processes, a home and a /tmp that the others cannot see.

Linux namespaces, joined by a bridge in a namespace without processes. What a machine's processes do to each other, and
to Ray, stays within it; killing its first process ends them all, as pulling the plug would.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.servers import TrackingServer

NETWORK = "10.93.0"
SWITCH = f"{NETWORK}.254"
"""Address of the namespace that holds the bridge: servers that are no part of the cluster run there."""
HOME = "/mnt"
"""Where each machine has its own home."""
RAY_PORT, MLFLOW_PORT, S3_PORT = 6379, 5000, 5005
PROJECT = Path(__file__).parent.parent
OWN = ("-n", "-p", "-m", "-i", "-u")
"""Kinds of namespaces: network, processes, mounts, System V's shared memory, host name."""
QUICK = {
    # So that a lost link is noticed in seconds; Ray's own figures need a minute.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


def hindrance() -> str | None:
    """Why no namespaces can be made here, None where they can."""
    if missing := [tool for tool in ("unshare", "nsenter", "ip", "curl") if shutil.which(tool) is None]:
        return f"without {', '.join(missing)} no machines can be made up"
    links = "ip link add br0 type bridge && ip link add v1 type veth peer name v2 && mount --bind /usr /mnt"
    tried = subprocess.run(["unshare", *OWN, "-f", "--mount-proc", "sh", "-c", links], capture_output=True)
    return f"namespaces cannot be made here: {tried.stderr.decode().strip()}" if tried.returncode else None


class Host:
    """One machine."""

    def __init__(self, folder: Path, address: str, own_disk: bool = True):
        self.folder, self.address, self.own_disk = folder, address, own_disk
        self.home, temporary = folder / "home", folder / "tmp"
        for path in (self.home, temporary):
            path.mkdir(parents=True, exist_ok=True)
        kinds = OWN if own_disk else ("-n",)
        options = ("-f", "--kill-child", "--mount-proc") if own_disk else ()
        self._holder = subprocess.Popen(["unshare", *kinds, *options, "sleep", "infinity"], stderr=subprocess.DEVNULL)
        self.pid = self._first_process() if own_disk else self._holder.pid
        while Path(f"/proc/{self.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            time.sleep(0.01)  # until then it would be this machine's network that is changed
        self._enter = ["nsenter", "-t", str(self.pid), *kinds]
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
        own = {"HOME": HOME if self.own_disk else str(self.home), "RAY_AUTH_MODE": "token", "RAY_ADDRESS": "auto"}
        own |= {"SEARCH_EMULATED_GPUS": "1", **QUICK}
        inherited = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "SEARCH_CACHE_DIR")}
        everything = inherited | own | {"PYTHONPATH": str(PROJECT)} | environment
        output = open(self.folder / log, "ab") if log else subprocess.PIPE  # noqa: SIM115 (the process's)
        return subprocess.Popen(
            [*self._enter, *([f"--wdns={HOME}"] if self.own_disk else []), *command],
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
        self._ends: list[Callable[[], object]] = []

    def open(self) -> None:
        """Make the network; `close` ends everything."""
        self.switch = Host(self.folder / "switch", SWITCH, own_disk=False)
        self._ends.append(self.switch.kill)
        self.switch("ip", "link", "add", "br0", "type", "bridge")
        self.switch("ip", "address", "add", f"{SWITCH}/24", "dev", "br0")
        self.switch("ip", "link", "set", "br0", "up")

    def close(self) -> None:
        for host in self.hosts.values():
            host.kill()
        for end in reversed(self._ends):
            end()

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

    def serve_mlflow(self) -> TrackingServer:
        """A tracking server outside the cluster."""
        within = ("nsenter", "-t", str(self.switch.pid), "-n")
        server = TrackingServer(self.folder, MLFLOW_PORT, "--allowed-hosts", "*", address=SWITCH, within=within)
        server.start()
        self._ends.append(server.stop)
        return server

    def serve_s3(self) -> str:
        """An S3-compatible server outside the cluster, with a bucket; its storage's address."""
        server = self.switch.start(sys.executable, "-m", "moto.server", "-H", SWITCH, "-p", str(S3_PORT), log="s3.log")
        self._ends += [server.wait, server.kill]
        bucket = f"http://{SWITCH}:{S3_PORT}/searches"
        # Made, or made by a request whose answer came too late.
        ways = ("-X", "PUT", bucket), ("--head", bucket)
        self.until(lambda: any(self.switch.start("curl", "-sfm5", *way).wait() == 0 for way in ways))
        return f"s3://searches/all?endpoint_override=http%3A%2F%2F{SWITCH}%3A{S3_PORT}&scheme=http&region=us-east-1"

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        while not condition():
            time.sleep(0.2)

    def cut(self, name: str) -> None:
        """Take a machine's cable out."""
        self.switch("ip", "link", "set", self.hosts[name].link, "down")
