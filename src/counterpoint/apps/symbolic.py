"""The symbolic forms of preference losses, derived from the losses, and losses from the forms."""

from __future__ import annotations

import re

from counterpoint.errors import SettingError
from counterpoint.objectives.preference_logic import RATIOS, SAME_AS, Structure, decompile

_WORDS = {"and", "or", "not", "xor", "true", "false"}


def symbolic_forms() -> list[dict[str, str]]:
    """Every loss of the literature that has a symbolic form.

    Returns:
        plain values, a loss each: ``name``, ``also`` (losses that share it), ``loss`` (the ratio of
        the literature), its form as `Structure.describe` puts it, and ``derived loss``, made again
        from the three formulas alone.
    """
    return [
        {"name": name, "also": ", ".join(a for a, b in SAME_AS.items() if b == name)} | both_ways(r)
        for name, r in RATIOS.items()
    ]


def both_ways(text: str) -> dict[str, str]:
    """The symbolic form of a loss, or the loss of a symbolic form; then back again.

    Args:
        text: a name such as ``"DPO"``, a ratio such as ``"w (1-l) / (l (1-w))"``, or the formulas
            P; P_C; P_A of a form, the last two of which may be left out: ``"l -> w; w or l"``.

    Raises:
        SettingError: text that is neither, or a form without an assignment on one side.
    """
    if ";" in text or _is_formula(text):
        form = _form(text)
        return {"loss": form.ratio} | form.describe() | {"derived loss": form.ratio}
    form = decompile(text)
    again = Structure.of(form.core, form.constraint, form.additive, form.names)
    loss = RATIOS.get(SAME_AS.get(text, text), text)
    return {"loss": loss} | form.describe() | {"derived loss": again.ratio}


def _form(text: str) -> Structure:
    given = [part.strip() for part in text.split(";")]
    if len(given) > 3:
        raise SettingError(f"A form is P; P_C; P_A, not {len(given)} formulas.")
    core, constraint, additive = given + ["true", "false"][len(given) - 1 :]
    return Structure.of(core, constraint, additive, _propositions(text))


def _is_formula(text: str) -> bool:
    return "->" in text or bool(_WORDS & set(re.findall(r"\w+", text)))


def _propositions(text: str) -> tuple[str, ...]:
    found = re.findall(r"[A-Za-z_]\w*", text)
    return tuple(dict.fromkeys(["w", "l", *(name for name in found if name not in _WORDS)]))
