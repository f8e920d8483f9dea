"""The project as a wheel, in an environment that has nothing else of it, used from an empty folder."""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import PROJECT

from contract import installation
from tests.servers import free_port

pytestmark = pytest.mark.process
PACKAGES = {"analysis", "contract", "search", "trainables"}
SMALL = ("--set", "budget.trials=2", "--set", "scheduler.max_epochs=2", "--set", "confirm=null")


class Installed:
    """An environment with the wheel in it, beside the dependencies of the environment that runs the tests."""

    def __init__(self, folder: Path, wheel: Path):
        self.folder, self.python = folder, folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*pip, wheel], check=True, env=self.environment)
        # Installing torch, Ray and the others once more would take gigabytes.
        packages = folder.joinpath("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
        here = [path for path in sys.path if Path(path).name.endswith("-packages")]
        packages.joinpath("dependencies.pth").write_text("\n".join(here) + "\n")
        self.packages = packages

    @property
    def environment(self) -> dict[str, str]:
        """What its programs find of this one's: not where the checkout is."""
        hidden = ("PYTHONPATH", "VIRTUAL_ENV", "SEARCH_DATA_DIR", "SEARCH_STORAGE")
        return {name: value for name, value in os.environ.items() if name not in hidden}

    def run(self, folder: Path, *command: str, code: int = 0) -> str:
        """What `hpsearch` prints, run in a folder."""
        return self.call(folder, str(self.folder / "bin" / "hpsearch"), *command, code=code)

    def call(self, folder: Path, *command: str, code: int = 0) -> str:
        """What a command prints, run in a folder; it must end with an exit code."""
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def build(kind: str, source: Path, target: Path) -> Path:
    """The wheel or the source archive of a folder, without a network: hatchling is one of the project's tools."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [built] = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", PROJECT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    return Installed(tmp_path_factory.mktemp("environment") / "venv", wheel)


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_the_packages_and_what_they_read_and_nothing_else(wheel):
    found = names(wheel)
    metadata = f"{installation.DISTRIBUTION.replace('-', '_')}-{installation.version()}.dist-info"
    assert {name.partition("/")[0] for name in found} == {*PACKAGES, metadata}
    assert {f"{package}/py.typed" for package in PACKAGES} <= found
    for folder, kind in (("analysis/templates", "*"), *((package, "*.py") for package in PACKAGES)):
        here = {str(path.relative_to(PROJECT)) for path in (PROJECT / folder).rglob(kind) if path.is_file()}
        assert here
        assert here <= found
    examples = {f"search/examples/{path.name}" for path in (PROJECT / "spaces").glob("*.yaml")}
    assert {name for name in found if name.startswith("search/examples/")} == examples
    assert {name for name in found if name.endswith(".yaml")} == examples


def test_the_source_archive_gives_the_same_wheel(wheel, tmp_path):
    with tarfile.open(build("sdist", PROJECT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.glob("hyperparameter_search-*")
    assert names(build("wheel", source, tmp_path / "wheel")) == names(wheel)


def test_it_is_found_where_it_was_installed_alone(installed, tmp_path):
    code = "import contract, search, trainables, analysis, sys; print(*(m.__file__ for m in map(sys.modules.get, "
    printed = installed.call(tmp_path, str(installed.python), "-c", f"{code}{sorted(PACKAGES)}))); print(sys.path)")
    files, path = printed.splitlines()
    assert files.split() == [str(installed.packages / package / "__init__.py") for package in sorted(PACKAGES)]
    assert repr(str(PROJECT)) not in path


def test_the_version_claims_no_commit_of_a_repository_around_it(installed, tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert installed.run(tmp_path, "--version") == f"hpsearch {installation.version()}\n"


def test_a_message_on_a_missing_spec_names_a_remedy_that_works(installed, tmp_path):
    printed = installed.run(tmp_path, "run", "quickstart.yaml", code=2)
    [remedy] = re.findall(r"`hpsearch (init \w+)`", printed)
    installed.run(tmp_path, *remedy.split())
    assert (tmp_path / "quickstart.yaml").read_bytes() == (PROJECT / "spaces" / "quickstart.yaml").read_bytes()
    assert "budget" in installed.run(tmp_path, "run", "quickstart.yaml", "--set", "budget.trails=2", code=2)


def test_the_shell_completion_is_a_script_that_the_shell_reads(installed, tmp_path):
    (tmp_path / "completion").write_text(installed.run(tmp_path, "completion", "bash"))
    check = "source completion; COMP_WORDS=(hpsearch lr); COMP_CWORD=1; "
    check += '"$(complete -p hpsearch | sed "s/.*-F \\([^ ]*\\) .*/\\1/")" hpsearch lr hpsearch; echo "${COMPREPLY[@]}"'
    assert installed.call(tmp_path, "bash", "-c", check).strip() == "lr-range"


def test_quickstart_runs_from_an_empty_folder_and_is_reported(installed, tmp_path):
    installed.run(tmp_path, "init", "quickstart")
    printed = installed.run(tmp_path, "run", "quickstart.yaml", *SMALL, "--in-process")
    assert "2 trials" in printed
    assert (tmp_path / "mlflow.db").exists()
    [page] = tmp_path.glob("results/quickstart/*/report/index.html")
    assert page.stat().st_size > 100_000
    [made] = re.findall(r"^reports/.*index\.html$", installed.run(tmp_path, "report", "quickstart", "--no-png"), re.M)
    assert (tmp_path / made).exists()


@pytest.mark.ray
def test_trials_on_ray_use_what_is_installed(installed, tmp_path):
    installed.run(tmp_path, "init", "quickstart")
    printed = installed.run(tmp_path, "run", "quickstart.yaml", *SMALL, "--address", "local", "--no-report")
    assert "2 completed" in printed


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster of one node, whose own programs find nothing of the project."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    port = free_port()
    folder = tempfile.mkdtemp(prefix="ray")  # the names of Ray's sockets must be short
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += [
        "--node-ip-address=127.0.0.1",
        "--num-cpus=1",
        "--object-store-memory=100000000",
        f"--temp-dir={folder}",
    ]
    command += ["--include-dashboard=false", "--disable-usage-stats"]
    hidden = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with open(tmp_path / "ray.log", "wb") as log:
        ray = subprocess.Popen(command, cwd=folder, env=hidden, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(port, ray)
            yield f"127.0.0.1:{port}"
        finally:
            processes = [psutil.Process(ray.pid), *psutil.Process(ray.pid).children(recursive=True)]
            ray.terminate()
            _, left = psutil.wait_procs(processes, timeout=20)
            for process in left:
                process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def wait_for(port: int, process: subprocess.Popen) -> None:
    """Return when something listens on a port."""
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError("Ray has ended at once")


@pytest.mark.ray
def test_a_cluster_that_lacks_the_project_is_sent_what_is_installed(installed, tmp_path, cluster):
    installed.run(tmp_path, "init", "quickstart")
    printed = installed.run(tmp_path, "run", "quickstart.yaml", *SMALL, "--address", cluster, "--no-report")
    assert "2 completed" in printed
