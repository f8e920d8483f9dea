"""Real servers for tests and benchmarks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class TrackingServer:
    """A real `mlflow server` that can be stopped and started again on the same database and port."""

    def __init__(self, folder: Path, port: int, *options: str, address: str = "127.0.0.1", within: Sequence[str] = ()):
        """Args: options: more of the command line; within: a command that runs others elsewhere, such as nsenter."""
        self.folder, self.port, self.options, self._within = folder, port, options, within
        self._address = address
        self.uri = f"http://{address}:{port}"
        self.database = f"sqlite:///{folder}/mlflow.db"

    def start(self) -> None:
        """Return when it answers."""
        command = [*self._within, sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", self._address, "--port", str(self.port), "--backend-store-uri", self.database]
        command += ["--artifacts-destination", str(self.folder / "artifacts"), *self.options]
        # Without it the server starts seven more processes for jobs that are not used here.
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = self.folder / "server.log"
        before = log.stat().st_size if log.exists() else 0
        self._log = open(log, "ab")  # noqa: SIM115 (closed by stop)
        self._process = subprocess.Popen(
            command, env=environment, stdout=self._log, stderr=self._log, start_new_session=True, cwd=self.folder
        )
        while b"Application startup complete" not in (said := log.read_bytes()[before:]):
            assert self._process.poll() is None, said.decode()
            time.sleep(0.2)

    def stop(self) -> None:
        """At once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
