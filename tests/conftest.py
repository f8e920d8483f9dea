"""Fixtures shared by all tests: nothing of the user's is read or written."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.servers import TrackingServer, free_port

PROJECT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has a server or a browser starts processes, and need not say so."""
    for item in items:
        if "tracking_server" in getattr(item, "fixturenames", ()) or item.get_closest_marker("browser"):
            item.add_marker("process")


@pytest.fixture(scope="session", autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory):
    """A cache of the session's own, and no tracking server or cluster of the user's."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SEARCH_CACHE_DIR", os.environ.get("SEARCH_TEST_CACHE_DIR", str(tmp_path_factory.mktemp("cache"))))
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        patch.delenv(name, raising=False)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _no_server_of_another_test():
    """MLflow notes an address that it is given in the environment, where the next test's search would find it."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where SEARCH_DATA_DIR does not name one."""
    root = os.environ.get("SEARCH_DATA_DIR")
    if not root or not Path(root).is_dir():
        pytest.skip("real data: SEARCH_DATA_DIR names no folder")
    return Path(root)


def write_picture_folders(
    folder: Path, classes: tuple[str, ...], counts: dict[str, int], size: int = 32, seed: int = 0
) -> Path:
    """Made pictures `folder/<part>/<class>/<i>.png`; each class has a colour of its own, so it can be learned."""
    random = np.random.default_rng(seed)
    for part, count in counts.items():
        for label, name in enumerate(classes):
            place = folder / part / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 60, (size, size, 3))
                pixels[..., label % 3] += 20 * label % 196
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory):
    """The address of a real MLflow server on a free port, with a database and artifacts of its own."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    server = TrackingServer(folder, free_port())
    server.start()
    yield server.uri
    server.stop()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, to be copied: making one takes seconds."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@dataclass(frozen=True)
class MadeSearch:
    """A search in a database, made of a formula."""

    uri: str
    id: str
    folder: Path


@pytest.fixture(scope="session")
def made_search(tmp_path_factory: pytest.TempPathFactory) -> MadeSearch:
    """36 trials with ASHA on the formula of made.py, one of them failed, some diverged; two confirmed on three seeds.

    The experiment, `made`, holds a run of another program too.
    """
    import made
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("made")
    uri = f"sqlite:///{folder}/mlflow.db"
    spec = made.spec(folder, budget={"trials": 36})
    id = made.search(spec, folder / "results", folder / "data", uri, failing=frozenset({3}))
    client = MlflowClient(uri)
    foreign = client.create_run(client.get_experiment_by_name("made").experiment_id, run_name="by hand")
    client.log_metric(foreign.info.run_id, "accuracy", 0.99)
    return MadeSearch(uri, id, folder)


@pytest.fixture(scope="session")
def made_record(made_search: MadeSearch):
    """Its record, as `analysis.record.Record`."""
    from analysis import record

    return record.load("made", tracking_uri=made_search.uri)


def write_spec(path: Path, **sections: object) -> Path:
    """A small search on the digits, with some sections replaced."""
    content = {
        "name": path.stem,
        "data": "digits",
        "model": "lenet",
        "space": {"lr": {"loguniform": [1e-4, 1e-1]}, "batch_size": {"choice": [32, 64]}},
        "sampler": {"name": "random", "seed": 0},
        "scheduler": {"name": "asha", "max_epochs": 4, "grace_period": 1, "reduction_factor": 2},
        "budget": {"trials": 4},
        "confirm": None,
    }
    path.write_text(yaml.safe_dump(content | sections, sort_keys=False))
    return path
