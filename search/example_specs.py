"""The specs that come with the project: in the checkout's `spaces/`, or in the package where it is installed."""

from pathlib import Path

from contract import installation

FIRST = "quickstart"
"""The example to begin with: it takes no download and two minutes."""


def folder() -> Path:
    """The folder of the examples."""
    checkout = installation.checkout()
    # pyproject.toml has the wheel built with a copy of spaces/ in this place.
    return checkout / "spaces" if checkout else Path(__file__).parent / "examples"


def paths() -> dict[str, Path]:
    """The file of each example, by name."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def summary(path: Path) -> str:
    """The first sentence of the comment at the top of an example."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    sentence, stop, _ = " ".join(line.removeprefix("#").strip() for line in lines[:end]).partition(". ")
    return sentence + stop.rstrip()


def hint_all() -> str:
    """Where somebody who has no spec finds one, as the end of a message."""
    if installation.checkout():
        return f"the specs that come with the project are in {_from_here(folder())}/"
    return f"`hpsearch init {FIRST}` puts one that comes with the project here, `hpsearch init` lists them all"


def hint_first() -> str:
    """Where somebody sees what a spec looks like, as the end of a message."""
    if installation.checkout():
        return f"see {_from_here(folder() / f'{FIRST}.yaml')}"
    return f"see the one that `hpsearch init {FIRST}` puts here"


def _from_here(path: Path) -> Path:
    """A path from the working folder where it lies in it, else as it is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
