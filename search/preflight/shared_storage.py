"""What the machines of a cluster must share, checked before anything is trained."""

from collections.abc import Callable, Mapping, Sequence

from contract.locations import is_server
from contract.redaction import redact
from search.errors import Problem
from search.orchestration.slots import Node


def problems(
    nodes: Sequence[Node], storage: str | None, tracking: str, out_of_reach: Callable[[str], Mapping[str, str]]
) -> list[Problem]:
    """Why a search cannot keep its record on these machines; one machine alone need not share anything.

    Args:
        nodes: the machines.
        storage: where the search's state and checkpoints go; None for a folder of this machine.
        tracking: the address of MLflow's record.
        out_of_reach: finds the nodes on which a storage cannot be used, and why.
    """
    if len(nodes) < 2:
        return []
    found = []
    if not is_server(tracking):
        found.append(
            Problem(
                "tracking.uri",
                f"{redact(tracking)} is a file on one of {len(nodes)} nodes: start a server (mlflow server) and name "
                "it here, or in MLFLOW_TRACKING_URI",
            )
        )
    if storage is None:
        remedy = "name a folder that all share, or s3://BUCKET/FOLDER, here or in SEARCH_STORAGE"
        found.append(Problem("storage", f"is missing: checkpoints would be on one of {len(nodes)} nodes: {remedy}"))
    else:
        nodes_by_reason: dict[str, list[str]] = {}
        for node, why in out_of_reach(storage).items():
            nodes_by_reason.setdefault(why, []).append(node)
        found += [
            Problem(
                "storage",
                f"{redact(storage)} cannot be used on {', '.join(on)} ({why}): all nodes must be able to write to it",
            )
            for why, on in nodes_by_reason.items()
        ]
    return found
