"""Improved baselines of CLIP: its loss over several views, and predictions across modalities."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import (
    Temperature,
    check_choice,
    check_not_negative,
    check_share,
    check_temperature,
    inverse_temperature,
    prepare,
    same_rows,
)
from counterpoint.engine.softmax import row_way, two_way
from counterpoint.engine.terms import Terms
from counterpoint.errors import DataError
from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.registry import Loss, objective
from counterpoint.pairs.sinkhorn import balancing_offsets

Total = Literal["sum", "mean"]

SOURCE = (
    "Fini et al. 2023, Improved baselines for vision-language pre-training, TMLR, arXiv 2305.08675"
)
OWN_BATCH = "a rank contrasts its own batch; ranks of equal batches average it"


class Parts(NamedTuple):
    """The terms of `cl2l`, each ``()``; ``image`` and ``text`` join global and local ones."""

    image_global: Tensor
    text_global: Tensor
    image_local: Tensor
    text_local: Tensor
    image: Tensor
    text: Tensor


def cl2l_parts(
    image: Tensor,
    text: Tensor,
    image_views: Tensor | None = None,
    text_views: Tensor | None = None,
    temperature: Temperature = 0.07,
    local_temperature: Temperature = 0.1,
    *,
    label_smoothing: float = 0.1,
    normalize: bool = True,
) -> Parts:
    """The terms of `cl2l`; arguments and errors as there.

    Source: Fini et al. 2023, TMLR, arXiv 2305.08675, authors' code.
    """
    check_share(label_smoothing=label_smoothing)
    check_temperature(local_temperature=local_temperature)
    if (image_views is None) != (text_views is None):
        raise DataError("Local views are needed of both modalities, or of neither.")
    same_rows(image=image, text=text)
    x, y = prepare(normalize, image=image, text=text)
    image_global, text_global = _smoothed(x, y, temperature, 0.0)
    if image_views is None or text_views is None:
        nothing = torch.zeros_like(image_global)
        return Parts(image_global, text_global, nothing, nothing, image_global, text_global)
    same_rows(image=image, image_views=image_views)
    xs, ys = _stacked(normalize, image_views=image_views, text_views=text_views)
    local = [_smoothed(a, b, local_temperature, label_smoothing) for a in xs for b in ys]
    image_local, text_local = (torch.stack(side).mean() for side in zip(*local, strict=True))
    count = len(xs)
    return Parts(
        image_global,
        text_global,
        image_local,
        text_local,
        (image_global + count * image_local) / (1 + count),
        (text_global + count * text_local) / (1 + count),
    )


def _smoothed(
    x: Tensor, y: Tensor, temperature: Temperature, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Both directions' cross entropy; the targets' share over all columns is linear in logits."""
    scale = inverse_temperature(temperature, 1, x)
    along, down = two_way(x, y, scale, Terms())
    if smoothing == 0:
        return along, down
    own = torch.linalg.vecdot(x, y).mean() - torch.dot(x.mean(0), y.mean(0))
    return along + smoothing * scale * own, down + smoothing * scale * own


def _stacked(normalize: bool, **views: Tensor) -> list[Tensor]:
    """Checked views ``(V, N, D)``, one number of samples and of views each."""
    n = same_rows(**views)
    flat, counts = {}, {}
    for name, x in views.items():
        flat[name], counts[name] = view_rows(x)
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise DataError(f"All need the same number of views: {shown}.")
    (count,) = set(counts.values())
    return [x.view(count, n, -1) for x in prepare(normalize, **flat)]


@objective(inputs="views", across_ranks=OWN_BATCH, source=SOURCE)
def cl2l(
    image: Tensor,
    text: Tensor,
    image_views: Tensor | None = None,
    text_views: Tensor | None = None,
    temperature: Temperature = 0.07,
    local_temperature: Temperature = 0.1,
    *,
    label_smoothing: float = 0.1,
    total: Total = "sum",
    normalize: bool = True,
) -> Tensor:
    """CLIP of the weak views and, smoothed, of every pair of strong ones: ``L_img + L_txt``.

    With the cross entropy ``CE_e`` to targets ``1 - e`` on the own pair plus ``e / N`` everywhere,
    ``L_img = (CE_0(z) + V mean_{a,b} CE_e(h_image^a, h_text^b)) / (1 + V)``, and ``L_txt`` in the
    other direction. Without views, and with ``total="mean"``, it is `clip`. The authors add
    `siamlip`, `barlip` or 0.2 `swalip` to it; SLIP is `clip` plus `nt_xent` of two strong views of
    the image at temperature 0.1.

    Args:
        image: global embeddings z of the weakly augmented view, float ``(N, D)``.
        text: of the captions, float ``(N, D)``.
        image_views: local embeddings h of V strongly augmented views, float ``(N, V, E)``, of their
            own head; None for none.
        text_views: of V captions, float ``(N, V, E)``.
        temperature: of the global pairs, a number or learnable scalar.
        local_temperature: of the local pairs; the same one where they have no head of their own.
        label_smoothing: e, of the local pairs only, in [0, 1].
        total: ``"sum"`` of both directions, or their ``"mean"``.
        normalize: divide every row by its length.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Fini et al. 2023, TMLR, arXiv 2305.08675, authors' code.
    """
    check_choice(Total, total=total)
    part = cl2l_parts(
        image,
        text,
        image_views,
        text_views,
        temperature,
        local_temperature,
        label_smoothing=label_smoothing,
        normalize=normalize,
    )
    both = part.image + part.text
    return both if total == "sum" else both / 2


@objective(inputs="views", across_ranks=OWN_BATCH, ranks="rows", source=SOURCE)
def siamlip(
    p_image: Tensor,
    p_text: Tensor,
    v_image: Tensor,
    v_text: Tensor,
    *,
    stop_gradient: bool = True,
) -> Tensor:
    """SiamLIP and BYOLIP: the predictor of one modality foresees the projection of the other.

    ``d(p, v) = mean_i (2 - 2 cos(p_i, sg[v_i]))``, averaged over both directions of the global pair
    and of all V^2 local ones. BYOLIP takes v from a momentum encoder.

    Args:
        p_image: predictions from images, float ``(N, 1 + V, D)``: the global view, then V local
            ones; ``(N, D)`` without local views.
        p_text: from captions, same shape.
        v_image: projections of images, same shape; no gradient.
        v_text: of captions, same shape; no gradient.
        stop_gradient: False lets the projections learn too, and all of them collapse.

    Returns:
        ``()``, in [0, 4].

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.

    Source: Fini et al. 2023, TMLR, arXiv 2305.08675, authors' code.
    """
    if stop_gradient:
        v_image, v_text = v_image.detach(), v_text.detach()
    pi, pt, vi, vt = _stacked(True, p_image=p_image, p_text=p_text, v_image=v_image, v_text=v_text)
    pairs = 2 * (1 + (len(pi) - 1) ** 2)
    closeness = [
        torch.linalg.vecdot(p[part].sum(0), v[part].sum(0)).mean()
        for p, v in ((pi, vt), (pt, vi))
        for part in (slice(0, 1), slice(1, None))
    ]
    return 2 - 2 * torch.stack(closeness).sum() / pairs


@objective(inputs="views", across_ranks=OWN_BATCH, source=SOURCE)
def barlip(
    v_image: Tensor,
    v_text: Tensor,
    *,
    off_diagonal: float = 0.005,
    scale: float = 0.025,
) -> Tensor:
    """BarLIP: ``c (sum_k (C_kk - 1)^2 + l sum_{k != l} C_kl^2)``, ``C = v_image^T v_text / N``.

    Averaged over the global pair and all V^2 local ones. Holds the D x D numbers of C.

    Args:
        v_image: projections of images ``(N, 1 + V, D)``: the global view, then V local ones; ``(N,
            D)`` without. Batch-normalised already, without scale and shift; nothing is normalised
            here. A constant feature is 0 then, and costs c.
        v_text: of captions, same shape.
        off_diagonal: l, at least 0.
        scale: c.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: off_diagonal below 0.

    Source: Fini et al. 2023, TMLR, arXiv 2305.08675, authors' code.
    """
    check_not_negative(off_diagonal=off_diagonal)
    xs, ys = _stacked(False, v_image=v_image, v_text=v_text)
    pairs = [(xs[0], ys[0]), *((a, b) for a in xs[1:] for b in ys[1:])]
    terms = [_correlation_loss(a.T @ b / len(a), off_diagonal) for a, b in pairs]
    return scale * torch.stack(terms).mean()


def _correlation_loss(correlation: Tensor, off_diagonal: float) -> Tensor:
    own = correlation.diagonal()
    others = correlation.square().sum() - own.square().sum()
    return (own - 1).square().sum() + off_diagonal * others


@objective(inputs="views", across_ranks=OWN_BATCH, source=SOURCE)
def swalip(
    image_views: Tensor,
    text_views: Tensor,
    temperature: Temperature = 0.1,
    *,
    epsilon: float = 0.05,
    iterations: int = 3,
    normalize: bool = True,
) -> Tensor:
    """SwALIP: each sample's softmax over the other modality near the other views' assignment.

    With ``S^ab = h_image^a (h_text^b)^T`` the loss is the mean over the four (a, b) and both
    directions of ``H(sg[T(S^{1-a,1-b})], S^ab / t)``, T the `balanced_assignment` in which the
    other modality's samples play the prototypes. Neither S nor T is held.

    Args:
        image_views: embeddings of 2 strong views, float ``(N, 2, D)``.
        text_views: of 2 captions, float ``(N, 2, D)``.
        temperature: t, a number or learnable scalar.
        epsilon: of the assignment, above 0.
        iterations: of the assignment, at least 1.
        normalize: divide every row by its length.

    Returns:
        ``()``. The authors weigh it with 0.2, and use `cl2l` without label smoothing.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity, another number of views than 2.
        SettingError: a setting out of range.

    Source: Fini et al. 2023, TMLR, arXiv 2305.08675, authors' code (final version).
    """
    xs, ys = _stacked(normalize, image_views=image_views, text_views=text_views)
    if len(xs) != 2:
        raise DataError(f"Two views are swapped; image_views and text_views have {len(xs)}.")
    scale = inverse_temperature(temperature, 1, xs[0])
    losses = [
        _assigned(us[a], vs[b], us[1 - a], vs[1 - b], scale, epsilon, iterations)
        for us, vs in ((xs, ys), (ys, xs))
        for a in (0, 1)
        for b in (0, 1)
    ]
    return torch.stack(losses).mean()


@objective(inputs="prototypes", across_ranks=OWN_BATCH, source=SOURCE)
def swalip_prototypes(
    image: Tensor,
    text: Tensor,
    prototypes: Tensor,
    temperature: Temperature = 0.1,
    *,
    epsilon: float = 0.05,
    iterations: int = 3,
) -> Tensor:
    """The earlier SwALIP: ``(H(sg[T(p_text)], p_image / t) + H(sg[T(p_image)], p_text / t)) / 2``.

    ``p`` are cosines with prototypes that both modalities share, T their `balanced_assignment`.

    Args:
        image: projections, float ``(N, D)``.
        text: float ``(N, D)``; row i belongs to row i of image.
        prototypes: float ``(K, D)``; the authors have 3000, and leave them fixed for the first 100
            steps.
        temperature: t, a number or learnable scalar.
        epsilon: of the assignment, above 0.
        iterations: of the assignment, at least 1.

    Returns:
        ``()``.

    Raises:
        DataError: embeddings that do not fit, NaN, infinity.
        SettingError: a setting out of range.

    Source: Fini et al. 2023, TMLR, arXiv 2305.08675, authors' code (version 1).
    """
    same_rows(image=image, text=text)
    x, y, c = prepare(True, image=image, text=text, prototypes=prototypes)
    scale = inverse_temperature(temperature, 1, x)
    losses = [_assigned(a, c, b, c, scale, epsilon, iterations) for a, b in ((x, y), (y, x))]
    return torch.stack(losses).mean()


def _assigned(
    anchors: Tensor,
    candidates: Tensor,
    target_anchors: Tensor,
    target_candidates: Tensor,
    scale: Tensor,
    epsilon: float,
    iterations: int,
) -> Tensor:
    """Cross entropy of the softmax to the balanced assignment of other rows to other candidates."""
    fixed = target_candidates.detach()
    offsets = balancing_offsets(target_anchors.detach(), fixed, epsilon, iterations)

    def cross_entropy(logits: Tensor, i: Tensor, j: Tensor, sought: Tensor) -> Tensor:
        with torch.no_grad():
            target = (sought @ fixed.T / epsilon + offsets).softmax(1)
        return logits.logsumexp(1) - (target * logits).sum(1)

    return row_way(cross_entropy, anchors, candidates, scale, per_row=[target_anchors.detach()])


class CL2L(Loss, function=cl2l):
    """`counterpoint.objectives.functional.cl2l` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.07,
        local_temperature: Temperature | nn.Module = 0.1,
        *,
        label_smoothing: float = 0.1,
        total: Total = "sum",
        normalize: bool = True,
    ) -> None:
        super().__init__(
            temperature=temperature,
            local_temperature=local_temperature,
            label_smoothing=label_smoothing,
            total=total,
            normalize=normalize,
        )

    def forward(
        self,
        image: Tensor,
        text: Tensor,
        image_views: Tensor | None = None,
        text_views: Tensor | None = None,
    ) -> Tensor:
        return self.call(image, text, image_views=image_views, text_views=text_views)


class SiamLIP(Loss, function=siamlip):
    """`counterpoint.objectives.functional.siamlip` as a module."""

    def __init__(self, *, stop_gradient: bool = True) -> None:
        super().__init__(stop_gradient=stop_gradient)

    def forward(self, p_image: Tensor, p_text: Tensor, v_image: Tensor, v_text: Tensor) -> Tensor:
        return self.call(p_image, p_text, v_image, v_text)


class BarLIP(Loss, function=barlip):
    """`counterpoint.objectives.functional.barlip` as a module."""

    def __init__(self, *, off_diagonal: float = 0.005, scale: float = 0.025) -> None:
        super().__init__(off_diagonal=off_diagonal, scale=scale)

    def forward(self, v_image: Tensor, v_text: Tensor) -> Tensor:
        return self.call(v_image, v_text)


class SwALIP(Loss, function=swalip):
    """`counterpoint.objectives.functional.swalip` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        epsilon: float = 0.05,
        iterations: int = 3,
        normalize: bool = True,
    ) -> None:
        super().__init__(
            temperature=temperature, epsilon=epsilon, iterations=iterations, normalize=normalize
        )

    def forward(self, image_views: Tensor, text_views: Tensor) -> Tensor:
        return self.call(image_views, text_views)


class SwALIPPrototypes(Loss, function=swalip_prototypes):
    """`counterpoint.objectives.functional.swalip_prototypes` as a module."""

    def __init__(
        self,
        temperature: Temperature | nn.Module = 0.1,
        *,
        epsilon: float = 0.05,
        iterations: int = 3,
    ) -> None:
        super().__init__(temperature=temperature, epsilon=epsilon, iterations=iterations)

    def forward(self, image: Tensor, text: Tensor, prototypes: Tensor) -> Tensor:
        return self.call(image, text, prototypes)
