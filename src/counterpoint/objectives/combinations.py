"""Settings that combine with any objective that admits them, and why others do not.

`refuse` answers where an objective is given one of them that it does not take.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from counterpoint.errors import SettingError, unknown_name

ORTHOGONAL: dict[str, str] = {
    "decoupled": (
        "its denominator is part of its definition. `contrast` takes decoupled=True with any "
        "description of the pairs"
    ),
    "ids": (
        "its definition has no place for duplicates. Keep one of them in a batch, or take `clip`, "
        "`info_nce`, `supcon` or `contrast`"
    ),
    "negatives": (
        "its candidates are given by its definition. `info_nce`, `hard_contrastive` and `amcl` "
        "take more columns, such as a memory queue or mixtures of `counterpoint.pairs.mixing`"
    ),
    "temperature": "there is no softmax in it whose logits a temperature could divide",
}
"""Each setting, and the reason of an objective without one of its own in `WHY`."""

_SOFT = "every candidate is its positive to a degree, so that leaving positives out leaves none"
_CLASSES = "it is a softmax over classes or scores, and without the right one it would say nothing"
_NEGATIVES = "its denominator holds negatives only: it is decoupled as it is"
_ALIKE = "its targets are how alike rows are, and duplicates are each other's positives already"
_ROWS_OF_TWO_SIDES = (
    "its candidates can be more than its anchors, so that one list of ids cannot name both"
)

WHY: dict[str, dict[str, Collection[str]]] = {
    "decoupled": {
        _SOFT: (
            "cwcl",
            "soft_clip",
            "m3co",
            "masked_supcon",
            "soft_supcon",
            "swalip",
            "swalip_prototypes",
            "distant_peer",
        ),
        _NEGATIVES: ("dcl", "dclw", "sogclr", "sogclr_bimodal", "beclr", "simple_contrastive"),
        _CLASSES: (
            "ar2_retriever",
            "cross_view_distillation",
            "ctp_tft",
            "discrimination",
            "distribution_regulariser",
            "dkd",
            "fopro",
            "kd",
            "mlcd",
            "multi_label",
        ),
    },
    "ids": {
        _ROWS_OF_TWO_SIDES: ("contriever_in_batch",),
        _ALIKE: ("conr", "masked_supcon", "soft_clip", "soft_supcon", "supremix"),
    },
}
"""Reasons of their own, by setting."""


def reason(objective: str, setting: str) -> str:
    """Why an objective does not take one of `ORTHOGONAL`, as the end of a sentence."""
    for why, names in WHY.get(setting, {}).items():
        if objective in names:
            return why
    return ORTHOGONAL[setting]


def refuse(objective: str, given: Iterable[str], taken: Collection[str]) -> None:
    """Refuses what an objective does not take: why, or which name was meant.

    Args:
        objective: its name.
        given: names of the arguments it was given.
        taken: those it takes.

    Raises:
        SettingError: one that it does not take; of `ORTHOGONAL` with the reason.
    """
    for name in given:
        if name in taken:
            continue
        if name in ORTHOGONAL:
            raise SettingError(f"{objective} takes no {name}=: {reason(objective, name)}.")
        raise unknown_name(f"argument of {objective}", name, taken)
