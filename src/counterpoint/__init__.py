"""Learn representations by contrast, and trust the labels they are learnt from.

Public names load on first use, so that ``import counterpoint`` stays quick::

    import counterpoint as cp

    model = cp.fit("simclr", data="digits")
    board = cp.compare(data="digits")
    loss = cp.objectives.DCL(temperature=0.1)(z1, z2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from counterpoint._version import __version__
from counterpoint.errors import CounterpointError, DataError, MissingExtraError, SettingError

if TYPE_CHECKING:
    from counterpoint import data, encoders, geometry, methods, objectives, pairs, probes, views
    from counterpoint.apps.fit import fit
    from counterpoint.apps.model import Model, load
    from counterpoint.apps.reannotate import reannotate
    from counterpoint.apps.reannotator import Reannotator, find_label_issues
    from counterpoint.report.comparison import Leaderboard, compare

_MODULES = ("data", "encoders", "geometry", "methods", "objectives", "pairs", "probes", "views")
_NAMES = {
    "fit": "counterpoint.apps.fit",
    "Model": "counterpoint.apps.model",
    "load": "counterpoint.apps.model",
    "Reannotator": "counterpoint.apps.reannotator",
    "find_label_issues": "counterpoint.apps.reannotator",
    "reannotate": "counterpoint.apps.reannotate",
    "Leaderboard": "counterpoint.report.comparison",
    "compare": "counterpoint.report.comparison",
}

__all__ = [
    "CounterpointError",
    "DataError",
    "Leaderboard",
    "MissingExtraError",
    "Model",
    "Reannotator",
    "SettingError",
    "__version__",
    "compare",
    "data",
    "encoders",
    "find_label_issues",
    "fit",
    "geometry",
    "load",
    "methods",
    "objectives",
    "pairs",
    "probes",
    "reannotate",
    "views",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
