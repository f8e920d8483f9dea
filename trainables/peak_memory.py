"""Peak memory of one run, in MB (10**6 bytes)."""

import contextlib
import resource
import sys
from pathlib import Path

import torch

CLEAR_REFS_FILE, STATUS_FILE = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK_COMMAND = "5"
"""What resets the peak of the process when it is written to `CLEAR_REFS_FILE` (see proc(5))."""
BYTES_PER_MB = 1e6


def reset_peak(device: torch.device) -> None:
    """Start the measurement: what an earlier run in this process used no longer counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # other systems have the peak since the start of the process alone
            CLEAR_REFS_FILE.write_text(RESET_PEAK_COMMAND)


def peak_mb(device: torch.device) -> float:
    """Return the peak since `reset_peak`: GPU memory held by tensors; on the CPU, memory of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / BYTES_PER_MB
    with contextlib.suppress(OSError, StopIteration):
        peak = next(line for line in STATUS_FILE.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024 / BYTES_PER_MB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_MB
