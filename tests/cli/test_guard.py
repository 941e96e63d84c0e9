from __future__ import annotations

from typing import Any

import pytest
import typer

from counterpoint.cli import guard
from counterpoint.errors import DataError, MissingExtraError, SettingError


def raising(error: BaseException) -> Any:
    @guard.guarded
    def verb() -> None:
        raise error

    return verb


@pytest.mark.parametrize(
    "error",
    [
        DataError("row 3 of a.csv [text] is empty"),
        SettingError("temperature must be positive"),
        MissingExtraError("pip install 'counterpoint[image]'"),
        PermissionError(13, "Permission denied", "runs"),
        OSError(28, "No space left on device", "runs/x"),
    ],
)
def test_expected_errors_are_one_line(error: Exception, capsys: Any) -> None:
    with pytest.raises(typer.Exit) as stop:
        raising(error)()
    assert stop.value.exit_code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"counterpoint: {error}\n"


def test_debug_raises(monkeypatch: Any) -> None:
    monkeypatch.setitem(guard.state, "debug", True)
    with pytest.raises(DataError):
        raising(DataError("x"))()


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (KeyboardInterrupt("Interrupted at step 3; kept in runs/a."), "at step 3; kept in runs/a."),
        (KeyboardInterrupt(), "nothing was written."),
    ],
)
def test_interrupt_says_what_was_kept(stop: KeyboardInterrupt, said: str, capsys: Any) -> None:
    with pytest.raises(typer.Exit) as raised:
        raising(stop)()
    assert raised.value.exit_code == 130
    assert capsys.readouterr().err.endswith(f"{said}\n")


def test_mistakes_of_ours_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())()
