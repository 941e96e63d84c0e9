"""Largest memory that a stretch of work needs."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


class PeakMemory:
    """Peak memory in MB from `start` on.

    On CUDA that of the allocator; else the resident memory of the process. Where the kernel does
    not allow its counter to be reset, the peak is that of the process since it began.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return

    def megabytes(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            import resource

            scale = 2**20 if sys.platform == "darwin" else 2**10
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
