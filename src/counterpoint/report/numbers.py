"""How numbers are written on every page: one form a quantity, true minus signs, thin spaces."""

from __future__ import annotations

import math

THIN = "\u202f"
MINUS = "\u2212"
MISSING = "–"


def decimal(value: float, digits: int = 2) -> str:
    """A plain number with a fixed count of decimals; a negative zero loses its sign."""
    text = f"{value:,.{digits}f}".replace(",", THIN)
    if text.startswith("-"):
        return text[1:] if float(text.replace(THIN, "")) == 0 else MINUS + text[1:]
    return text


def percent(value: float) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return f"{decimal(100 * value, 1)}{THIN}%"


def count(value: float) -> str:
    """A whole number, thousands parted by thin spaces."""
    return decimal(value, 0)


def duration(seconds: float) -> str:
    """Seconds as a reader says them: 8.4 s, 2 min 03 s, 1 h 20 min."""
    if seconds < 59.95:
        return f"{decimal(seconds, 1)}{THIN}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60:02d}{THIN}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{THIN}h {minutes % 60:02d}{THIN}min"


def megabytes(value: float) -> str:
    """Megabytes, in gigabytes from 1024 on."""
    if value >= 1024:
        return f"{decimal(value / 1024, 1)}{THIN}GB"
    return f"{decimal(value, 0)}{THIN}MB"


def finite(value: object) -> float | None:
    """The value as a finite float, or None: absent, not a number, NaN and infinities alike."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None
