"""The loss of one preference: how much a margin ``u`` (preferred minus other) is still lacking."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from counterpoint.engine.checks import check_choice
from counterpoint.errors import SettingError

Form = Literal["logistic", "squared", "hinge"]


def pairwise_loss(
    u: Tensor,
    form: Form = "logistic",
    *,
    margin: float | Tensor = 0.0,
    label_smoothing: float = 0.0,
    floor: float = 0.0,
) -> Tensor:
    """Loss of each margin ``u``, element by element; small where the preferred one is ahead.

    - ``"logistic"``: ``-log sigmoid(u - margin)`` = ``softplus(margin - u)`` (Bradley-Terry).
    - ``"squared"``: ``(u - margin)^2``; not monotone, it pulls u towards the margin.
    - ``"hinge"``: ``max(0, margin - u)``.

    Args:
        u: any shape.
        form: see above.
        margin: how far the preferred one should be ahead.
        label_smoothing: probability s in [0, 0.5] that the preference is stated the wrong way:
            ``(1-s) loss(u) + s loss(-u)``.
        floor: logistic only; replaces ``log P`` by ``log(P + floor)``, which bounds the loss.

    Returns:
        Shape of u.

    Raises:
        SettingError: unknown form, a smoothing outside [0, 0.5], a floor below 0 or with another
            form than the logistic one.
    """
    check_choice(Form, form=form)
    if not 0.0 <= label_smoothing <= 0.5:
        raise SettingError(f"label_smoothing must be in [0, 0.5], got {label_smoothing}.")
    if not floor >= 0.0 or (floor > 0.0 and form != "logistic"):
        raise SettingError(f"floor must be at least 0 and is for the logistic form, got {floor}.")
    loss = _one_way(u, form, margin, floor)
    if label_smoothing == 0.0:
        return loss
    return (1 - label_smoothing) * loss + label_smoothing * _one_way(-u, form, margin, floor)


def _one_way(u: Tensor, form: Form, margin: float | Tensor, floor: float) -> Tensor:
    if form == "squared":
        return (u - margin).square()
    if form == "hinge":
        return (margin - u).clamp(min=0.0)
    if floor == 0.0:
        return softplus(margin - u)
    log_p = logsigmoid(u - margin)
    return -torch.logaddexp(log_p, log_p.new_tensor(math.log(floor)))
