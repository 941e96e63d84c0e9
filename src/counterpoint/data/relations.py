"""Two entities in a text, as one text for an encoder: entity markers, or a prompt template.

Source: Baldini Soares et al., "Matching the Blanks", arXiv 1906.03158 (2019), section 3.2, for the
markers.
"""

from __future__ import annotations

import re
from string import Formatter

from counterpoint.errors import SettingError

FIELDS = ("subject", "object", "text")
MOST_PLACES = 50


def marked(subject: str, object_: str, text: str) -> tuple[str, tuple[str, ...]]:
    """``... [E1] subject [/E1] ... [E2] object [/E2] ...``

    Each entity is marked where it first stands as whole words without regard to case, else within
    a word, so that the two do not overlap. Where one is not in the text, both are put before it.

    Args:
        subject: the first entity.
        object_: the second one.
        text: a text that mentions both.

    Returns:
        The marked text, and which of "subject" and "object" could not be marked in place.
    """
    places = {"subject": _places(subject, text), "object": _places(object_, text)}
    apart = (
        (one, two)
        for one in places["subject"]
        for two in places["object"]
        if one[1] <= two[0] or two[1] <= one[0]
    )
    both = next(apart, None)
    if both is None:
        missing = tuple(name for name, found in places.items() if not found) or ("object",)
        return f"[E1] {subject} [/E1] [E2] {object_} [/E2] {text}".strip(), missing
    for (start, end), number in sorted(zip(both, (1, 2), strict=True), reverse=True):
        inside = f"[E{number}] {text[start:end]} [/E{number}]"
        text = text[:start] + inside + text[end:]
    return text, ()


def check_template(template: str, with_text: bool) -> None:
    """Proves that a template such as "{subject} is a kind of {object}: {text}" can be filled.

    Args:
        template: needs ``{subject}`` and ``{object}``, may have ``{text}``.
        with_text: whether there are texts.

    Raises:
        SettingError: another field, or a missing one.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise SettingError(f"template {template!r}: {error}.") from error
    fields = {field for _, field, _, _ in parts if field is not None}
    odd = sorted(fields - {*FIELDS})
    plain = all(not spec and not conversion for _, _, spec, conversion in parts)
    if odd or not plain:
        raise SettingError(
            f"template {template!r} may hold {{subject}}, {{object}} and {{text}}, without formats"
            f"{'; got {' + odd[0] + '}' if odd else ''}."
        )
    lacking = [field for field in ("subject", "object") if field not in fields]
    if lacking:
        raise SettingError(f"template {template!r} lacks {{{lacking[0]}}}.")
    if "text" in fields and not with_text:
        raise SettingError(f"template {template!r} holds {{text}}: name the column with text=.")


def _places(entity: str, text: str) -> list[tuple[int, int]]:
    words = re.escape(entity.strip())
    for pattern in (rf"(?<!\w){words}(?!\w)", words):
        found = [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]
        if found:
            return found[:MOST_PLACES]
    return []
