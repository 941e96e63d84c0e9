"""SepCLR: a code for what two data sets share and one for what only the target set has."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers, check_positive, prepare
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.rows import softmax_rows
from counterpoint.engine.terms import Terms
from counterpoint.errors import DataError
from counterpoint.objectives.potential import distance_rows, log_mean_potential
from counterpoint.objectives.registry import Loss, objective

SOURCE = (
    "Louiset et al. 2024, SepCLR: Separating common from salient patterns with Contrastive "
    "Representation Learning, arXiv 2402.11928"
)


class Parts(NamedTuple):
    """The terms of `sepclr`, each ``()``."""

    common_alignment: Tensor
    common_uniformity: Tensor
    salient_alignment: Tensor
    salient_uniformity: Tensor
    information_less: Tensor
    joint_entropy: Tensor


def negative_joint_entropy(c: Tensor, s: Tensor, tau: float = 0.5) -> Tensor:
    """``mean_i log mean_j exp(-(||c_i - c_j||^2 + ||s_i - s_j||^2) / (2 tau))``, j = i included.

    Minus the kernel estimate of the joint entropy (k-JEM); at most 0, and 0 only where all c and
    all s coincide. With a constant s it is the estimate of c alone.

    Args:
        c: codes as they are ``(N, Dc)``.
        s: codes of the same samples ``(N, Ds)``.
        tau: width of the kernel, above 0.

    Raises:
        DataError: codes that do not fit, NaN, infinity.
        SettingError: tau out of range.

    Source: Louiset et al., "SepCLR", ICLR 2024, arXiv 2402.11928.
    """
    check_positive(tau=tau)
    if len(c) != len(s):
        raise DataError(f"c has {len(c)} rows and s has {len(s)}; both are codes of the samples.")
    (z,) = prepare(False, codes=torch.cat([c, s], 1))
    anchors, candidates = distance_rows(z, z)
    sums = softmax_rows(anchors, candidates, z.new_tensor(1 / tau), Terms()).values
    return sums.mean() - math.log(len(z))


def sepclr_parts(
    common1: Tensor,
    common2: Tensor,
    salient1: Tensor,
    salient2: Tensor,
    labels: Tensor,
    *,
    tau: float = 0.5,
    normalize_common: bool = True,
) -> Parts:
    """The terms of `sepclr`; arguments and errors as there.

    Source: Louiset et al., "SepCLR", ICLR 2024, arXiv 2402.11928.
    """
    check_positive(tau=tau)
    c1, c2 = prepare(normalize_common, common1=common1, common2=common2)
    s1, s2 = prepare(False, salient1=salient1, salient2=salient2)
    n = len(c1)
    if not len(c2) == len(s1) == len(s2) == n:
        raise DataError("Both views of both codes must have one row a sample.")
    if n < 2:
        raise DataError("Uniformity needs at least 2 samples.")
    labels = check_integers("labels", labels, n)
    if bool(((labels != 0) & (labels != 1)).any()):
        raise DataError("labels must be 0 for background and 1 for target.")
    target = labels == 1
    t1, t2 = (s * target.to(s.dtype)[:, None] for s in (s1, s2))
    share = 1 / (2 * tau)

    def uniform(a: Tensor, b: Tensor) -> Tensor:
        return (log_mean_potential(a, a, share) + log_mean_potential(b, b, share)) / 2

    def mean_square(x: Tensor, kept: Tensor) -> Tensor:
        values = x.square().sum(1).where(kept, 0.0)
        return share * values.sum() / kept.sum().clamp(min=1)

    everyone = torch.ones_like(target)
    return Parts(
        mean_square(c1 - c2, everyone),
        uniform(c1, c2),
        mean_square(s1 - s2, target),
        uniform(t1, t2),
        (mean_square(s1, ~target) + mean_square(s2, ~target)) / 2,
        (negative_joint_entropy(c1, t1, tau) + negative_joint_entropy(c2, t2, tau)) / 2,
    )


@objective(
    inputs="views",
    across_ranks="a rank contrasts its own batch; ranks of equal batches average it",
    source=SOURCE,
)
def sepclr(
    common1: Tensor,
    common2: Tensor,
    salient1: Tensor,
    salient2: Tensor,
    labels: Tensor,
    *,
    salient_weight: float = 1000.0,
    information_weight: float = 1000.0,
    independence_weight: float = 10.0,
    tau: float = 0.5,
    normalize_common: bool = True,
) -> Tensor:
    """``L_c + b_s L_s + b_0 L_0 + l L_j``: two codes, each informative, independent of each other.

    With ``align = mean ||a - b||^2 / (2 tau)`` and `counterpoint.geometry.uniformity` of sharpness
    ``1 / (2 tau)``, averaged over both views::

        L_c = align(c1, c2) + 2 uniformity(c)
        L_s = align(s1, s2) over targets + 2 uniformity(t),   t = s of targets, 0 of background
        L_0 = ||s||^2 / (2 tau) of background
        L_j = negative_joint_entropy(c, t)

    Salient codes are never normalised: background must be able to lie at 0. Without ``L_0`` common
    content leaks into the salient code, without ``L_j`` salient content stays in the common one.
    Keep background and targets about balanced.

    Args:
        common1: common codes of view 1 ``(N, Dc)``, N at least 2.
        common2: of view 2 ``(N, Dc)``.
        salient1: salient codes of view 1 ``(N, Ds)``.
        salient2: of view 2 ``(N, Ds)``.
        labels: 0 background, 1 target, int64 ``(N,)``. Without targets ``L_s`` is 0, without
            background ``L_0``.
        salient_weight: b_s; 1000 on natural, 1 on medical images.
        information_weight: b_0; 1000, medical 10 to 100.
        independence_weight: l.
        tau: width of all kernels, above 0.
        normalize_common: divide the common codes by their length.

    Returns:
        ``()``; unchanged by a rotation of either code.

    Raises:
        DataError: codes or labels that do not fit, NaN, infinity, a single sample.
        SettingError: tau out of range.

    Source: Louiset et al., "SepCLR", ICLR 2024, arXiv 2402.11928.
    """
    part = sepclr_parts(
        common1,
        common2,
        salient1,
        salient2,
        labels,
        tau=tau,
        normalize_common=normalize_common,
    )
    return (
        part.common_alignment
        + 2 * part.common_uniformity
        + salient_weight * (part.salient_alignment + 2 * part.salient_uniformity)
        + information_weight * part.information_less
        + independence_weight * part.joint_entropy
    )


def kernel_alignment(codes: Tensor, attribute: Tensor, tau: float = 0.025) -> Tensor:
    """``mean over distinct pairs of exp(-(a_i - a_j)^2 / (2 tau)) (u_i - u_j)^2``.

    One salient coordinate u follows a known attribute a: like attributes, like codes.

    Args:
        codes: u ``(N,)``, N at least 2.
        attribute: a ``(N,)``, no gradient.
        tau: 0.025 for a continuous attribute; 5e-6 for a discrete one (the same value only).

    Returns:
        ``()``.

    Raises:
        DataError: shapes that do not fit, a single sample.
        SettingError: tau out of range.

    Source: Louiset et al., "SepCLR", ICLR 2024, arXiv 2402.11928, supervised salient dimensions.
    """
    check_positive(tau=tau)
    if codes.dim() != 1 or codes.shape != attribute.shape or len(codes) < 2:
        raise DataError("codes and attribute must be (N,) of one length of at least 2.")
    u, a = prepare(False, codes=codes[:, None], attribute=attribute.detach()[:, None])
    values = a[:, 0]

    def weighted(logits: Tensor, i: Tensor, j: Tensor) -> Tensor:
        kernel = (-(values[i] - values[j]).square() / (2 * tau)).exp()
        return -(kernel * logits).sum(1)

    anchors, candidates = distance_rows(u, u)
    weights, scale = torch.ones_like(values), u.new_tensor(2.0)
    total = row_losses(weighted, anchors, candidates, scale, weights=weights)
    return total / (len(u) * (len(u) - 1))


class SepCLR(Loss, function=sepclr):
    """`counterpoint.objectives.functional.sepclr` as a module."""

    def __init__(
        self,
        *,
        salient_weight: float = 1000.0,
        information_weight: float = 1000.0,
        independence_weight: float = 10.0,
        tau: float = 0.5,
        normalize_common: bool = True,
    ) -> None:
        super().__init__(
            salient_weight=salient_weight,
            information_weight=information_weight,
            independence_weight=independence_weight,
            tau=tau,
            normalize_common=normalize_common,
        )

    def forward(
        self,
        common1: Tensor,
        common2: Tensor,
        salient1: Tensor,
        salient2: Tensor,
        labels: Tensor,
    ) -> Tensor:
        return self.call(common1, common2, salient1, salient2, labels)
