"""The command line: parse, call the application, draw. No logic."""

from __future__ import annotations


def main() -> None:
    """Entry point of the ``counterpoint`` command."""
    from counterpoint.cli.app import app

    app()
