from __future__ import annotations

import subprocess
import sys
import time

import pytest

COUNTERPOINT = (sys.executable, "-c", "from counterpoint.cli import main; main()")


@pytest.mark.parametrize(
    "args", [["--help"], ["list"], ["list", "--help"], ["fit", "--help"], ["--version"]]
)
def test_torch_is_not_imported_before_it_is_needed(args: list[str]) -> None:
    code = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules));"
        "from counterpoint.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("False")


def test_help_is_quick() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([*COUNTERPOINT, "--help"], capture_output=True, check=True)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) <= 0.7
