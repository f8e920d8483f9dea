"""Re-run the published rows, and set our figures beside theirs.

    python -m benchmarks.reference --only R3 --seeds 3 [--device cuda] [--jobs 2]

Each row is trained as its publication did, once a seed, and scored on the test set after its last
epoch. A finished run is appended to docs/reference_results.jsonl, with commit, device and date, and the
tables of docs/reference_results.md are written anew; a run that is in the file already, with the same
settings, is not repeated. `--list` shows the rows, `--table` only writes the tables. It needs `trainables` alone.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.reference_rows import ROWS, Row

DOCS = Path(__file__).parent.parent / "docs"
RESULTS, PAGE = DOCS / "reference_results.jsonl", DOCS / "reference_results.md"


def run(row: Row, seed: int, device_name: str, threads: int, data_dir: Path) -> dict[str, Any]:
    """Train one row with one seed; what is recorded of it."""
    import numpy as np
    import torch

    import trainables.datasets
    from trainables import module_folder
    from trainables.config import TrainConfig
    from trainables.evaluate import evaluate
    from trainables.loader import Loader
    from trainables.split import split
    from trainables.state import TrainState
    from trainables.training import train

    torch.set_num_threads(threads)
    device = torch.device(device_name)
    config = TrainConfig.from_params({**row.params, "seed": seed})
    data = module_folder.module(trainables.datasets, row.data).load(data_dir, **row.data_options)
    parts = split(data, validation=row.validation, train_fraction=config.train_fraction, seed=seed)
    if row.validate_on is not None:
        watched = np.random.default_rng(seed).permutation(parts.validation)[: row.validate_on]
        parts = replace(parts, validation=np.sort(watched))
    loader = Loader(parts, config, device)
    state = TrainState.create(config, data.input_shape, len(data.classes), device)
    began = time.time()
    epochs = list(train(config, loader, state))
    last = epochs[-1]
    test = last.val_accuracy if row.validation == "test" else evaluate(config, state.model, loader.test())[1]
    return {
        "row": row.id,
        "seed": seed,
        "params": row.params,
        "test_accuracy": test,
        "val_accuracy": last.val_accuracy,
        "best_val_accuracy": max(m.val_accuracy for m in epochs),
        "train_accuracy": last.train_accuracy,
        "epochs": last.epoch,
        "curve": [round(m.val_accuracy, 4) for m in epochs[:: max(1, len(epochs) // 40)]],
        "epoch_seconds": statistics.median(m.epoch_seconds for m in epochs),
        "images_per_second": statistics.median(m.images_per_second for m in epochs),
        "peak_memory_mb": last.peak_memory_mb,
        "seconds": time.time() - began,
        "threads": threads,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


def main() -> None:
    """Run what is asked for and not yet done."""
    options = _parser().parse_args()
    rows = [row for row in ROWS if any(row.id.startswith(only) for only in options.only)]
    if not rows:
        sys.exit(f"no row begins with {' or '.join(options.only)}; --list shows them")
    if options.list:
        for row in rows:
            print(f"{row.id:32} {row.what}{'  (needs a GPU)' if row.needs_gpu else ''}")
        return
    if not options.table:
        _run_all([row for row in rows if options.device == "cuda" or not row.needs_gpu], options)
    write_tables(PAGE, results(RESULTS))


def _run_all(rows: list[Row], options: argparse.Namespace) -> None:
    done = {(r["row"], r["seed"]) for r in results(RESULTS)}
    todo = [(row, seed) for seed in range(options.seeds) for row in rows if (row.id, seed) not in done]
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    spawn = multiprocessing.get_context("spawn")
    # A process a run: peak memory is then its own.
    with ProcessPoolExecutor(options.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        runs: list[Future] = [
            pool.submit(run, row, seed, options.device, threads, options.data_dir) for row, seed in todo
        ]
        for finished in as_completed(runs):
            try:
                result = finished.result()
            except Exception as error:  # of one row; the others go on
                row, seed = todo[runs.index(finished)]
                print(f"{row.id} seed {seed} failed: {type(error).__name__}: {error}", flush=True)
                continue
            with open(RESULTS, "a") as file:
                file.write(json.dumps(result) + "\n")
            print(
                f"{result['row']} seed {result['seed']}: {result['test_accuracy']:.2%} after {result['epochs']} "
                f"epochs, {result['seconds']:.0f} s",
                flush=True,
            )


def results(path: Path) -> list[dict[str, Any]]:
    """The recorded runs of the rows as they now are; those of other settings are left out."""
    if not path.exists():
        return []
    now = {row.id: json.loads(json.dumps(row.params)) for row in ROWS}
    recorded = [json.loads(line) for line in path.read_text().splitlines()]
    return [r for r in recorded if now.get(r["row"]) == r["params"]]


def write_tables(page: Path, recorded: list[dict[str, Any]]) -> None:
    """Write the table of each study between its marks (`<!-- R1 -->` to `<!-- /R1 -->`)."""
    text = page.read_text()
    for study in sorted({row.id.partition("/")[0] for row in ROWS}):
        begin, end = f"<!-- {study} -->\n", f"<!-- /{study} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{page} has no {begin.strip()} ... {end}")
        rows = [row for row in ROWS if row.id.startswith(f"{study}/")]
        text = before + begin + table(rows, recorded) + end + after
    page.write_text(text)


def table(rows: list[Row], recorded: list[dict[str, Any]]) -> str:
    """Markdown: published, ours, the difference in points of test accuracy."""
    lines = ["| row | published % | ours % | n | difference | seconds an epoch | MB | remarks |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        runs = [r for r in recorded if r["row"] == row.id]
        lines.append(f"| {' | '.join([_what(row), _percent(row.published), *_ours(row, runs), row.note])} |")
    return "\n".join(lines) + "\n"


def _what(row: Row) -> str:
    return f"{row.what} (`{row.id}`)"


def _ours(row: Row, runs: list[dict[str, Any]]) -> list[str]:
    if not runs:
        return [f"not yet run{': needs a GPU' if row.needs_gpu else ''}", "0", "", "", ""]
    values = [100 * r["test_accuracy"] for r in runs]
    mean = statistics.fmean(values)
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    difference = f"{mean - row.published:+.2f}" if row.published is not None else ""
    seconds = statistics.median(r["epoch_seconds"] for r in runs)
    memory = statistics.median(r["peak_memory_mb"] for r in runs)
    return [f"**{mean:.2f}**{spread}", str(len(values)), difference, f"{seconds:.3g}", f"{memory:,.0f}"]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _commit() -> str:
    try:
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain", "trainables"], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=["R"], metavar="ROW", help="beginnings of the ids: R3, R1/lenet")
    parser.add_argument("--seeds", type=int, default=3, help="runs a row (default: 3)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: 1)")
    parser.add_argument("--threads", type=int, help="of each run (default: the cores shared out among the jobs)")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SEARCH_DATA_DIR", "data")))
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument("--table", action="store_true", help="only write the tables anew")
    return parser


if __name__ == "__main__":
    main()
