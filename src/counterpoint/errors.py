"""What goes wrong, said so that the reader knows what, where and what to do."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

_SHOWN = 40


class CounterpointError(Exception):
    """Base of every error this library raises on purpose."""


class DataError(CounterpointError, ValueError):
    """Data that cannot be used; the message names the file, row or column."""


class SettingError(CounterpointError, ValueError):
    """A setting with a wrong name, type or range; the message lists the right ones."""


class MissingExtraError(CounterpointError, ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> SettingError:
    """Builds the error for a name that is not registered, with the nearest right ones.

    Args:
        what: the kind of thing, in the singular ("method", "encoder").
        name: what was asked for.
        known: every valid name.
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    some = f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Known: {some}."
    return SettingError(f"Unknown {what} {name!r}. {hint}")


def require(module: str, extra: str) -> ModuleType:
    """Imports an optional module.

    Args:
        module: dotted module name.
        extra: the extra of this package that brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MissingExtraError(
            f"{module} is needed here and is not installed. "
            f"Install it with: pip install 'counterpoint[{extra}]'"
        ) from error
