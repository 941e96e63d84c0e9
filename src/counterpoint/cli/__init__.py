"""The command line: parse, call the application, draw. No logic."""

from __future__ import annotations

import os


def main() -> None:
    """Entry point of the ``counterpoint`` command.

    Threads sleep while they wait for each other, unless ``OMP_WAIT_POLICY`` says otherwise: where
    they spin, one other busy process makes a training step on two cores ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from counterpoint.cli.app import app

    app()
