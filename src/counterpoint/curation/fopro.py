"""FoPro: which web samples to keep, relabel or drop, by classifier, prototypes and relations."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError

Level = Literal[0, 1, 2, 3]


class Cleaned(NamedTuple):
    """What is believed of every row.

    Attributes:
        labels: int64 ``(B,)``, after correction.
        kept: bool ``(B,)``.
        relabelled: bool ``(B,)``; also where the new label is the old one.
        score: soft target of the label BEFORE correction ``(B,)``.
    """

    labels: Tensor
    kept: Tensor
    relabelled: Tensor
    score: Tensor


@torch.no_grad()
def soft_targets(
    logits: Tensor,
    prototype_logits: Tensor | None,
    labels: Tensor,
    few_shot: Tensor,
    *,
    alpha: float = 0.5,
) -> Tensor:
    """``alpha softmax(o) + (1 - alpha) softmax(a)``, one-hot for few-shot rows.

    Args:
        logits: of the classifier ``(B, C)``.
        prototype_logits: WITHOUT margin ``(B, C)``; None before prototypes exist: then every row is
            ``softmax(o)``.
        labels: int64 ``(B,)``.
        few_shot: bool ``(B,)``, the clean real rows.
        alpha: in [0, 1]; with 1 prototypes are ignored.

    Returns:
        ``(B, C)``, no gradient.

    Raises:
        DataError: shapes or labels that do not fit.
        SettingError: alpha outside [0, 1].

    Source: Qin et al., "FoPro", AAAI 2023, arXiv 2212.00465.
    """
    if not 0 <= alpha <= 1:
        raise SettingError(f"alpha must be in [0, 1], got {alpha}.")
    labels, few_shot = _rows(logits, labels, few_shot)
    if prototype_logits is None:
        return logits.softmax(1)
    if prototype_logits.shape != logits.shape:
        raise DataError("logits and prototype_logits must have one shape (B, C).")
    soft = alpha * logits.softmax(1) + (1 - alpha) * prototype_logits.softmax(1)
    return torch.where(few_shot[:, None], one_hot(labels, logits.shape[1]).to(soft.dtype), soft)


@torch.no_grad()
def clean(
    soft: Tensor,
    labels: Tensor,
    few_shot: Tensor,
    *,
    level: Level = 3,
    gamma: float = 0.6,
    relation: Tensor | None = None,
) -> Cleaned:
    """Keeps, relabels or drops web rows; few-shot rows are always kept and never relabelled.

    - level 0: nothing is removed.
    - level 1: relabel to the argmax of q where ``max q > gamma``; keep those and ``q_y > 1/C``.
    - level 2: keep where ``s_y > gamma``; else relabel to the argmax of s where ``max s > gamma``;
      else drop. s is the sigmoid of the relation.
    - level 3: keep where ``q_y > 1/C`` or ``s_y > gamma``; relabel to the argmax of q where not
      ``s_y > gamma`` and ``max q > gamma``, and keep those.

    Args:
        soft: q ``(B, C)``, of `soft_targets`; C at least 2.
        labels: int64 ``(B,)``.
        few_shot: bool ``(B,)``.
        level: see above.
        gamma: threshold in [0, 1].
        relation: logits of the relation of rows and prototypes ``(B, C)``, for levels 2 and 3.

    Raises:
        DataError: shapes or labels that do not fit; one class, where nothing exceeds 1/C; no
            relation where one is needed.
        SettingError: unknown level, gamma outside [0, 1].

    Source: Qin et al., "FoPro", AAAI 2023, arXiv 2212.00465, released cleaning rules.
    """
    if level not in (0, 1, 2, 3) or not 0 <= gamma <= 1:
        raise SettingError(f"level is 0 to 3 and gamma in [0, 1]; got {level} and {gamma}.")
    labels, few_shot = _rows(soft, labels, few_shot)
    classes = soft.shape[1]
    if classes < 2:
        raise DataError("With one class nothing exceeds 1/C; cleaning needs at least two.")
    if level >= 2 and (relation is None or relation.shape != soft.shape):
        raise DataError(f"Level {level} needs relation logits of shape {tuple(soft.shape)}.")
    score = soft.gather(1, labels[:, None])[:, 0]
    confident, argmax = soft.max(1)
    nowhere = torch.zeros_like(few_shot)
    kept, changed = ~nowhere, nowhere
    if level == 1:
        changed = confident > gamma
        kept = changed | (score > 1 / classes)
    elif relation is not None and level >= 2:
        related = relation.sigmoid()
        trusted = related.gather(1, labels[:, None])[:, 0] > gamma
        if level == 2:
            confident, argmax = related.max(1)
        changed = ~trusted & (confident > gamma)
        kept = trusted | changed
        if level == 3:
            kept = kept | (score > 1 / classes)
    changed = changed & ~few_shot
    return Cleaned(torch.where(changed, argmax, labels), kept | few_shot, changed, score)


@torch.no_grad()
def densities(
    features: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    previous: Tensor,
    *,
    temperature: float = 0.1,
) -> Tensor:
    """Temperature of every prototype, ``S_k / (n_k log(n_k + 10) + 1e-7)``.

    S_k sums the distances of the n_k kept samples to their prototype. A class without any keeps its
    value, and all stay within a third and three times the temperature.

    Args:
        features: unit features of an epoch's kept samples ``(N, D)``.
        prototypes: ``(C, D)``.
        labels: int64 ``(N,)``, corrected.
        previous: ``(C,)``.
        temperature: what they started from.

    Source: Qin et al., "FoPro", AAAI 2023; the bounds are this library's.
    """
    labels = check_integers("labels", labels, len(features))
    distance = torch.linalg.vector_norm(features - prototypes[labels], dim=1)
    total = torch.zeros_like(previous).index_add(0, labels, distance.to(previous.dtype))
    count = torch.bincount(labels, minlength=len(previous)).to(previous.dtype)
    found = total / (count * (count + 10).log() + 1e-7)
    return torch.where(count > 0, found.clamp(temperature / 3, 3 * temperature), previous)


def _rows(scores: Tensor, labels: Tensor, few_shot: Tensor) -> tuple[Tensor, Tensor]:
    if scores.dim() != 2:
        raise DataError(f"Class scores must be (B, C), got {tuple(scores.shape)}.")
    labels = check_integers("labels", labels, len(scores))
    if bool(((labels < 0) | (labels >= scores.shape[1])).any()):
        raise DataError(f"labels must be in 0..{scores.shape[1] - 1}.")
    if few_shot.shape != labels.shape:
        raise DataError(f"few_shot must be ({len(labels)},), got {tuple(few_shot.shape)}.")
    return labels, few_shot.bool()
