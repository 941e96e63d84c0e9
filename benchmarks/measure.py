"""Seconds and megabytes, for the benchmarks."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

MEGABYTE = 1024.0  # in the kilobytes of /proc
ADDRESSES = 12 * 2**30


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one call, which other programs lengthen less than that by the clock."""
    start = time.process_time()
    run()
    return time.process_time() - start


def ratio(run: Callable[[], object], base: Callable[[], object], rounds: int) -> float:
    """Time of one call over that of another, taking turns, the best round of each."""
    run(), base()
    times = [(seconds(run), seconds(base)) for _ in range(rounds)]
    return min(first for first, _ in times) / min(second for _, second in times)


def peak(run: Callable[[], object]) -> float:
    """MB that this process holds at the most during a call, above what it held before."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) / MEGABYTE


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a call in a process of its own; None where that runs out of memory."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(there, function, *args))
    child.start()
    there.close()
    try:
        result = here.recv()
    except EOFError:
        result = None
    child.join()
    if isinstance(result, Exception):
        raise result
    return result


def _answer(there: Connection, function: Callable[..., Any], *args: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    try:
        there.send(function(*args))
    except (MemoryError, RuntimeError) as error:
        there.send(None if "memory" in str(error) else error)
