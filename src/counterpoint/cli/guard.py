"""Turns what goes wrong into one clear line and an honest exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from counterpoint.cli.terminal import err
from counterpoint.errors import CounterpointError

FAILED = 2
INTERRUPTED = 130

P = ParamSpec("P")
R = TypeVar("R")

state = {"debug": False}


def guarded(verb: Callable[P, R]) -> Callable[P, R]:
    """Makes expected errors print one line and exit with 2, and Ctrl-C exit with 130."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except (CounterpointError, OSError) as error:
            if state["debug"]:
                raise
            err.print(f"counterpoint: {error}", soft_wrap=True, markup=False)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt as stop:
            said = str(stop) or "Interrupted; nothing was written."
            err.print(f"counterpoint: {said}", soft_wrap=True, markup=False)
            raise typer.Exit(INTERRUPTED) from None

    return run
