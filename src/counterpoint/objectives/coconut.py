"""COCONUT: rehearsed classes are held where the teacher has them, new ones kept apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_integers,
    check_reduction,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import one_way
from counterpoint.engine.terms import Reduction, Terms
from counterpoint.errors import DataError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.same_label import SameLabel

Denominator = Literal["student", "teacher"]
Samples = Literal["current", "all"]
SOURCE = (
    "Cappellazzo et al. 2024, Continual Contrastive Spoken Language Understanding (COCONUT), "
    "arXiv 2310.02699"
)
ACROSS_RANKS = "each rank contrasts its own batch; ranks average it"


@objective(inputs="rehearsal", across_ranks=ACROSS_RANKS, source=SOURCE)
def nspt(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    rehearsal: Tensor,
    temperature: Temperature = 0.1,
    *,
    denominator: Denominator = "student",
    self_positive: bool = True,
    self_in_denominator: bool | None = None,
    detach_teacher: bool = True,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """``log sum_i exp(<a_k, a_i> / t) - 1/|P(k)| sum_{p in P(k)} <a_k, a'_p> / t`` of rehearsed k.

    a is the student, a' the teacher, ``P(k)`` the rehearsed samples of the class of k. Only the
    rehearsed are anchors; the current samples are negatives and receive gradient as such. The
    positives are not in the denominator of NSPT, so the loss can be negative, down to
    ``log(N - 1) - 2 / t``. ``denominator="teacher"`` is NTPT, whose negatives are the teacher's
    too. With teacher = student, everything rehearsed and self left out on both sides: `supcon`.

    Args:
        student: a, projections of the model in training, float ``(N, D)``.
        teacher: a', of its frozen copy in evaluation mode, float ``(N, D)``.
        labels: int64 ``(N,)``.
        rehearsal: bool ``(N,)``, True for samples out of the memory.
        temperature: t, positive; one number, a learnable scalar, or one value a row ``(N,)``.
        denominator: whose features are the candidates, ``"student"`` or ``"teacher"``.
        self_positive: the teacher's feature of k itself is a positive, so every anchor has one.
        self_in_denominator: k itself is a candidate; None for the published choice: not for the
            student's features (similarity 1), but for the teacher's.
        detach_teacher: False lets gradient through the teacher's features.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over anchors with a positive.

    Returns:
        ``()``, or ``(N,)`` without reduction, 0 for other rows; 0 without any anchor, and for a
        batch of one without self.

    Raises:
        DataError: embeddings, labels or marks that do not fit, NaN, infinity.
        SettingError: temperature, denominator or reduction out of range.

    Source: Cappellazzo et al. 2024, COCONUT, arXiv 2310.02699 (index sets reconstructed from the
    text and from supervised contrast).
    """
    check_reduction(reduction)
    check_choice(Denominator, denominator=denominator)
    n = same_rows(student=student, teacher=teacher)
    a, old = prepare(normalize, student=student, teacher=teacher)
    old = old.detach() if detach_teacher else old
    labels = check_integers("labels", labels, n)
    scale = inverse_temperature(temperature, n, a)
    place = _marks(rehearsal, n).nonzero().flatten()
    with_self = denominator == "teacher" if self_in_denominator is None else self_in_denominator
    if not len(place) or (n == 1 and not with_self):
        nothing = 0 * (a.sum(1) + old.sum(1))
        return nothing if reduction == "none" else nothing.sum()
    rehearsed = labels[place]
    positives = SameLabel(rehearsed, rehearsed if self_positive else None)
    mean_positive, counted = positives.attraction(old[place])
    scale = scale[place] if scale.dim() else scale
    loss, _ = one_way(
        a[place],
        a if denominator == "student" else old,
        scale,
        Terms(valid=None if with_self else lambda i, j: place[i] != j),
        pull=scale * torch.linalg.vecdot(a[place], mean_positive),
        counted=counted,
        reduction=reduction,
    )
    return a.new_zeros(n).index_put((place,), loss) if reduction == "none" else loss


@objective(inputs="pairs", across_ranks=ACROSS_RANKS, source=SOURCE)
def coconut_alignment(
    audio: Tensor,
    text: Tensor,
    temperature: Temperature = 0.1,
    *,
    rehearsal: Tensor | None = None,
    samples: Samples = "current",
    symmetric: bool = True,
    normalize: bool = True,
    reduction: Reduction = "mean",
    ids: Tensor | None = None,
) -> Tensor:
    """`clip` of audio and text over the samples of the current task; 0 where there are none.

    Args:
        audio: float ``(N, D)``.
        text: float ``(N, D)``.
        temperature: positive; one number, a learnable scalar, or one value a row ``(N,)``.
        rehearsal: bool ``(N,)``, True for samples out of the memory; None for none.
        samples: ``"current"``, or ``"all"`` to align the rehearsed ones as well.
        symmetric: False for `info_nce` from audio to text alone.
        normalize: divide every row by its length.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over those samples.
        ids: int64 ``(N,)``; samples of equal id (one transcript twice, common in commands) are
            never each other's negatives.

    Returns:
        ``()``, or ``(N,)`` without reduction, 0 for rows left out.

    Raises:
        DataError: embeddings, marks or ids that do not fit, NaN, infinity.
        SettingError: temperature, samples or reduction out of range.

    Source: Cappellazzo et al. 2024, COCONUT, arXiv 2310.02699, the multimodal loss.
    """
    check_reduction(reduction)
    check_choice(Samples, samples=samples)
    n = same_rows(audio=audio, text=text)
    audio, text = prepare(normalize, audio=audio, text=text)
    old = audio.new_zeros(n, dtype=torch.bool) if rehearsal is None else _marks(rehearsal, n)
    place = ((~old) | (samples == "all")).nonzero().flatten()
    ids = None if ids is None else check_integers("ids", ids, n)[place]
    inverse_temperature(temperature, n, audio)
    if isinstance(temperature, Tensor) and temperature.numel() == n > 1:
        temperature = temperature.reshape(n)[place]
    if not len(place):
        nothing = 0 * (audio.sum(1) + text.sum(1))
        return nothing if reduction == "none" else nothing.sum()
    loss = (clip if symmetric else info_nce)(
        audio[place],
        text[place],
        temperature,
        normalize=False,
        reduction=reduction,
        ids=ids,
    )
    return audio.new_zeros(n).index_put((place,), loss) if reduction == "none" else loss


def _marks(rehearsal: Tensor, rows: int) -> Tensor:
    if rehearsal.shape != (rows,) or rehearsal.dtype != torch.bool:
        raise DataError(
            f"rehearsal must be bool ({rows},), not {rehearsal.dtype} {tuple(rehearsal.shape)}."
        )
    return rehearsal


class NSPT(Loss, function=nspt):
    """`counterpoint.objectives.functional.nspt` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        denominator: Denominator = "student",
        self_positive: bool = True,
        self_in_denominator: bool | None = None,
        detach_teacher: bool = True,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            denominator=denominator,
            self_positive=self_positive,
            self_in_denominator=self_in_denominator,
            detach_teacher=detach_teacher,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self, student: Tensor, teacher: Tensor, labels: Tensor, rehearsal: Tensor
    ) -> Tensor:
        return self.call(student, teacher, labels=labels, rehearsal=rehearsal)


class CoconutAlignment(Loss, function=coconut_alignment):
    """`counterpoint.objectives.functional.coconut_alignment` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        samples: Samples = "current",
        symmetric: bool = True,
        normalize: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            temperature=temperature,
            samples=samples,
            symmetric=symmetric,
            normalize=normalize,
            reduction=reduction,
        )

    def forward(
        self,
        audio: Tensor,
        text: Tensor,
        *,
        rehearsal: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        return self.call(audio, text, rehearsal=rehearsal, ids=ids)
