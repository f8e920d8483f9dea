"""What a finished search cost, from its journal: `python -m benchmarks.search_cost results/lenet/<id>`.

Prints the time from the command to the first training step, the share of the wall time in which the
slots trained, and the wall time against training every trial to its last epoch (computed: each trial's
epochs at the mean of its measured ones, spread over the slots).
"""

import statistics
import sys
from pathlib import Path

from contract.events import DriverStarted, EpochEnded, TrialStarted
from search.journal.journal import read
from search.storage.layout import Layout


def main(folder: Path) -> None:
    """Print the figures of one launch; a search that was resumed has several and is refused."""
    events = [event for event, _ in read(Layout(folder).journal)]
    launches = [e for e in events if isinstance(e, DriverStarted)]
    if len(launches) != 1:
        sys.exit(f"{folder} was launched {len(launches)} times: the times between launches would count")
    phases = {e.id: e.phase for e in events if isinstance(e, TrialStarted)}
    last_epochs = {e.id: e.params["epochs"] for e in events if isinstance(e, TrialStarted)}
    epochs: dict[str, list[EpochEnded]] = {}
    for event in events:
        if isinstance(event, EpochEnded):
            epochs.setdefault(event.id, []).append(event)
    slots = launches[0].concurrent
    first_step = min(e.time - e.metrics["epoch_seconds"] for es in epochs.values() for e in es)
    print(f"{folder}: {launches[0].resources}")
    print(f"command to first training step: {first_step - launches[0].command_time:.1f} s")
    for phase in ("search", "confirm"):
        trials = [id for id in epochs if phases[id] == phase]
        if not trials:
            continue
        begin = min(e.time - e.metrics["epoch_seconds"] for id in trials for e in epochs[id])
        end = max(e.time for id in trials for e in epochs[id])
        wall = end - begin
        trained = sum(e.metrics["epoch_seconds"] for id in trials for e in epochs[id])
        mean = {id: statistics.fmean(e.metrics["epoch_seconds"] for e in epochs[id]) for id in trials}
        n, most = sum(len(epochs[id]) for id in trials), sum(last_epochs[id] for id in trials)
        whole = sum(mean[id] * last_epochs[id] for id in trials) / slots
        print(f"{phase}: {len(trials)} trials, {n} of {most} epochs, {wall:.0f} s")
        print(f"  slots training: {trained / (slots * wall):.1%} of the wall time ({slots} slots, {trained:.0f} s)")
        print(f"  every trial to its last epoch: {whole:.0f} s (computed), {whole / wall:.1f} times the search")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
