"""Nothing foreign is run: what could run it is found in the files, whether or not the line is ever reached."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FOLDERS = ("contract", "search", "trainables", "analysis", "benchmarks")
FILES = [path for folder in FOLDERS for path in sorted((PROJECT / folder).rglob("*.py"))]
RESTRICTED = {"trainables/plain_pickle.py"}
"""May read pickles: it admits arrays and plain values alone."""
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "_Loader"}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pd", "pandas"}
LOADS = {"load", "loads", "Unpickler", "read_pickle", "open"}
COMMANDS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}


def doors(source: str) -> Iterator[str]:
    """Each call that runs, or may run, what it is given."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            if any(_name(base)[1] == "Unpickler" for base in node.bases):
                yield f"{node.lineno}: Unpickler"
        elif isinstance(node, ast.ImportFrom) and node.module in PICKLES:
            for alias in node.names:
                if alias.name in LOADS:
                    yield f"{node.lineno}: {node.module}.{alias.name}"
        elif isinstance(node, ast.Call):
            owner, name = _name(node.func)
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if _open(owner, name, node, given):
                yield f"{node.lineno}: {owner}.{name}" if owner else f"{node.lineno}: {name}"


def _open(owner: str, name: str, call: ast.Call, given: dict[str | None, ast.expr]) -> bool:
    if not owner:
        return name in ("eval", "exec", "__import__")
    if _is(given.get("shell"), True) or _is(given.get("allow_pickle"), True) or (owner, name) in COMMANDS:
        return True
    if (owner, name) == ("torch", "load") or name in ("load_state_dict_from_url", "get_state_dict"):
        return not _is(given.get("weights_only"), True)
    if owner == "yaml" and name in ("unsafe_load", "full_load", "unsafe_load_all", "full_load_all"):
        return True
    if owner == "yaml" and name in ("load", "load_all"):
        loader = given.get("Loader", call.args[1] if len(call.args) > 1 else None)
        return loader is None or _name(loader)[1] not in SAFE_LOADERS
    return (owner in PICKLES and name in LOADS) or (owner == "hub" and name == "load")


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _name(node: ast.expr) -> tuple[str, str]:
    """`torch.load` as its last two names."""
    if isinstance(node, ast.Attribute):
        return _name(node.value)[1] or "?", node.attr
    return "", node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_file_runs_nothing_foreign(path):
    found = list(doors(path.read_text()))
    assert found == [] or str(path.relative_to(PROJECT)) in RESTRICTED


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=flag)",
        "entry.get_state_dict(progress=False)", "yaml.load(text)", "yaml.load(text, yaml.Loader)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)", "yaml.unsafe_load(text)", "yaml.full_load(text)",
        "pickle.load(file)", "pickle.loads(raw)", "pickle.Unpickler(file).load()", "from pickle import loads",
        "class R(pickle.Unpickler): pass", "joblib.load(path)", "pd.read_pickle(path)", "np.load(p, allow_pickle=True)",
        "subprocess.run(text, shell=True)", "os.system(text)", "os.popen(text)", "eval(text)", "exec(text)",
        "__import__(name)", "torch.hub.load(repo, name)",
    ],
)  # fmt: skip
def test_a_door_is_found(line):
    assert len(list(doors(f"def f():\n    {line}\n"))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, map_location='cpu', weights_only=True)", "yaml.load(text, _Loader)", "yaml.safe_load(text)",
        "yaml.load(text, Loader=yaml.SafeLoader)", "json.load(file)", "np.load(path, mmap_mode='c')", "model.eval()",
        "subprocess.run(['git'], shell=False)", "pickle.dumps(x)",
    ],
)  # fmt: skip
def test_what_is_shut_is_left_alone(line):
    assert list(doors(f"def f():\n    {line}\n")) == []
