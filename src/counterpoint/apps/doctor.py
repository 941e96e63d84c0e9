"""What is installed and what this machine offers, for people who help from afar."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from counterpoint._version import __version__

_NAME = re.compile(r"[\w.-]+")
_EXTRA = re.compile(r"extra == ['\"](?P<extra>[\w-]+)['\"]")


def examine() -> dict[str, Any]:
    """Looks at the installation and the machine, without changing or downloading anything.

    Returns:
        plain values: ``machine`` (versions, threads, devices, memory, disk), ``packages`` (version
        of every dependency that is installed), ``extras`` (what each lacks and the command that
        installs it), ``data`` (each built-in data set: ``"available"``, or what it lacks).
    """
    wanted = _requirements()
    names = sorted({name for needs in wanted.values() for name in needs})
    versions = {name: version for name in names if (version := _installed(name)) is not None}
    extras = {
        extra: {
            "missing": [name for name in needs if name not in versions],
            "install": f"pip install 'counterpoint[{extra}]'",
        }
        for extra, needs in wanted.items()
        if extra
    }
    return {"machine": _machine(), "packages": versions, "extras": extras, "data": _data()}


def _requirements() -> dict[str, list[str]]:
    """Names of the packages each extra needs; the empty extra is what is always needed."""
    wanted: dict[str, list[str]] = {"": []}
    for line in metadata.requires("counterpoint") or []:
        requirement, _, marker = line.partition(";")
        name, extra = _NAME.match(requirement.strip()), _EXTRA.search(marker)
        if name is not None:
            wanted.setdefault(extra["extra"] if extra else "", []).append(name[0])
    return wanted


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    import torch

    return {
        "counterpoint": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": _devices(),
        "memory_gb": _memory_gb(),
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
    }


def _devices() -> list[str]:
    import torch

    found = ["cpu"]
    found += [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _data() -> dict[str, str]:
    from counterpoint.data.sources import builtin

    return {
        source.name: "available"
        if not source.missing
        else f"lacks {', '.join(source.missing)}: pip install 'counterpoint[{source.extra}]'"
        for source in builtin()
    }
