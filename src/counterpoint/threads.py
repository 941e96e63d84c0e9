"""One thread for many small products, which several threads only wait for.

On one thread their last digits do not depend on the machine's number of processors either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from counterpoint.errors import require


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch works on one thread; afterwards on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_library_thread() -> AbstractContextManager[object]:
    """The same for the linear algebra that scikit-learn calls."""
    limits: AbstractContextManager[object] = require("threadpoolctl", "probe").threadpool_limits(1)
    return limits
