"""Where the parts of a large job run: here, one after the other, or on a Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import numpy as np

from counterpoint.curation.neighbour_search import Found, Plan, Unit, in_turn, search_unit
from counterpoint.errors import require, unknown_name

T = TypeVar("T")
R = TypeVar("R")
RETRIES = 5
AHEAD = 2


class Engine(Protocol):
    """Runs the parts of a job; the results do not depend on where."""

    def map(self, task: Callable[[T], R], over: Iterable[T]) -> Iterator[R]:
        """``task`` of every part, in order."""

    def search(self, plan: Plan, k: int) -> Iterator[tuple[Unit, Found]]:
        """Neighbours of the queries of every unit, in any order."""


class Local:
    """This process."""

    def map(self, task: Callable[[T], R], over: Iterable[T]) -> Iterator[R]:
        """See `Engine`."""
        return map(task, over)

    def search(self, plan: Plan, k: int) -> Iterator[tuple[Unit, Found]]:
        """See `Engine`."""
        return in_turn(plan, k)


class Ray:
    """Tasks of a Ray cluster, whose machines all see the files of the corpus.

    A task whose worker dies runs again, at most 5 times. Vectors travel through Ray's object
    store, so workers need no common disk for them.

    Args:
        address: of a running cluster; None takes ``RAY_ADDRESS``, or starts one on this machine.
        **settings: of ``ray.init``, such as ``num_cpus``.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, address: str | None = None, **settings: Any) -> None:
        self.ray = require("ray", "scale")
        if not self.ray.is_initialized():
            quiet = {"log_to_driver": False, "include_dashboard": False}
            self.ray.init(address=address, **({} if address else quiet) | settings)

    def map(self, task: Callable[[T], R], over: Iterable[T]) -> Iterator[R]:
        """See `Engine`; a few parts are under way at once, so that results do not pile up."""
        for _, found in self._run(task, ((None, (part,)) for part in over)):
            yield found

    def search(self, plan: Plan, k: int) -> Iterator[tuple[Unit, Found]]:
        """See `Engine`."""
        kept = {(s.start, s.stop): self.ray.put(plan.rows.block(s)) for s in plan.candidates}
        jobs = (
            (unit, (unit, k, *(kept[s.start, s.stop] for s in unit.candidates)))
            for unit in plan.units
        )
        yield from self._run(searched, jobs)

    def _run(
        self, task: Callable[..., R], jobs: Iterable[tuple[T, tuple[Any, ...]]]
    ) -> Iterator[tuple[T, R]]:
        """What each job is called, and the task of its arguments, in order."""
        remote = self.ray.remote(max_retries=RETRIES)(task)
        most = AHEAD * max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        waiting: deque[tuple[T, Any]] = deque()
        for called, given in jobs:
            waiting.append((called, remote.remote(*given)))
            if len(waiting) >= most:
                first, found = waiting.popleft()
                yield first, self.ray.get(found)
        for first, found in waiting:
            yield first, self.ray.get(found)


ENGINES: dict[str, Callable[[], Engine]] = {"local": Local, "ray": Ray}


def engine(name: str) -> Callable[[], Engine]:
    """What makes an engine, by name: ``"local"`` or ``"ray"``.

    Raises:
        SettingError: no engine of that name.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    return ENGINES[name]


def searched(unit: Unit, k: int, *candidates: Any) -> Found:
    """`search_unit` over candidates that are given, in any precision."""

    def read(part: slice) -> Any:
        for own, rows in zip(unit.candidates, candidates, strict=True):
            if own.start <= part.start and part.stop <= own.stop:
                return rows[part.start - own.start : part.stop - own.start].astype(np.float32)
        raise AssertionError(part)

    return search_unit(unit, read, k)
