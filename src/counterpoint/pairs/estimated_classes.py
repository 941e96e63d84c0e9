"""Sizes of known and unknown classes read off a clustering, and labels freed from them."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.engine.checks import check_integers
from counterpoint.errors import DataError, SettingError, require


def checked_counts(counts: Tensor, classes: int | None = None) -> Tensor:
    """Class sizes, float ``(K,)``.

    Raises:
        DataError: another number of classes, or a size not above 0.
    """
    if counts.dim() != 1 or (classes is not None and len(counts) != classes):
        raise DataError(f"counts must be ({classes or 'K'},), got {tuple(counts.shape)}.")
    if not bool((counts > 0).all()):
        raise DataError("Every class needs a size above 0; count an empty cluster as 1.")
    return counts.detach().double()


def logit_adjustment(counts: Tensor, kappa: float = 0.5) -> Tensor:
    """``log((n_k / sum n)^kappa + 1e-12)``; subtract it from logits. 0 for kappa 0.

    Args:
        counts: class sizes above 0 ``(K,)``.
        kappa: at least 0.

    Returns:
        float64 ``(K,)``.

    Raises:
        DataError: sizes not above 0.
        SettingError: kappa below 0.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376.
    """
    if kappa < 0:
        raise SettingError(f"kappa must be at least 0, got {kappa}.")
    n = checked_counts(counts)
    return ((n / n.sum()) ** kappa + 1e-12).log()


@torch.no_grad()
def debiased_labels(
    outputs1: Tensor,
    outputs2: Tensor,
    counts: Tensor,
    *,
    kappa: float = 0.5,
    temperature: float = 0.1,
) -> Tensor:
    """Mean over two views of ``softmax(o / temperature - logit_adjustment)``.

    Args:
        outputs1: cosine logits of view 1 ``(B, K)``.
        outputs2: of view 2.
        counts: class sizes above 0 ``(K,)``.
        kappa: strength of the adjustment.
        temperature: above 0.

    Returns:
        ``(B, K)``.

    Raises:
        DataError: shapes that do not fit.
        SettingError: a setting out of range.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376.
    """
    if not temperature > 0:
        raise SettingError(f"temperature must be above 0, got {temperature}.")
    if outputs1.shape != outputs2.shape or outputs1.shape[1] != len(counts):
        raise DataError(f"Outputs of both views must be (B, {len(counts)}).")
    adjustment = logit_adjustment(counts, kappa).to(outputs1)
    views = [(x / temperature - adjustment).softmax(1) for x in (outputs1, outputs2)]
    return (views[0] + views[1]) / 2


@torch.no_grad()
def select_balanced(
    soft_labels: Tensor,
    counts: Tensor,
    labelled_classes: Tensor,
    *,
    alpha: float = 0.0,
    beta: float = 0.5,
    kept: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The most confident unlabelled samples of each predicted class, fewer of large classes.

    Of class c, ``b ~ Binomial(predicted c, rate_c)`` are kept, ``rate_c = (n_min / n_c)^alpha`` for
    classes of the labelled samples of the batch and ``^beta`` for the others. With both 0 all are
    kept.

    Args:
        soft_labels: of unlabelled samples ``(U, K)``.
        counts: class sizes above 0 ``(K,)``.
        labelled_classes: classes present among labelled samples, int64 ``(L,)``.
        alpha: at least 0.
        beta: at least 0.
        kept: b of each class, int64 ``(K,)``, replayed; drawn if None.
        generator: of the draw.

    Returns:
        int64, ascending positions.

    Raises:
        DataError: shapes that do not fit.
        SettingError: alpha or beta below 0.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376.
    """
    if min(alpha, beta) < 0:
        raise SettingError(f"alpha and beta must be at least 0, got {alpha}, {beta}.")
    n = checked_counts(counts, soft_labels.shape[1])
    known = torch.isin(torch.arange(len(n), device=n.device), labelled_classes)
    rate = (n.min() / n) ** torch.where(known, alpha, beta)
    confidence, predicted = soft_labels.max(1)
    sizes = torch.bincount(predicted, minlength=len(n))
    if kept is None:
        kept = torch.stack(
            [
                (torch.rand(int(s), generator=generator, dtype=torch.float64) < r).sum()
                for s, r in zip(sizes, rate, strict=True)
            ]
        )
    chosen = [
        members[confidence[members].argsort(descending=True, stable=True)[: int(b)]]
        for c, b in enumerate(kept)
        for members in [(predicted == c).nonzero().flatten()]
    ]
    return torch.cat(chosen).sort().values


def estimate_counts(clusters: Tensor, labels: Tensor, known: int, novel: int) -> Tensor:
    """Class sizes from cluster sizes: known classes matched by rank, novel ones largest first.

    Clusters are matched to known classes (Hungarian, by the share of a cluster that is labelled
    with the class); the sizes of the matched clusters are then given to the known classes in the
    order of their labelled counts. The other clusters, largest first, are the novel classes. An
    empty cluster counts 1.

    Args:
        clusters: of every training sample, 0 .. known + novel - 1, int64 ``(N,)``.
        labels: int64 ``(N,)``, 0 .. known - 1, -1 where unlabelled.
        known: number of known classes.
        novel: number of novel classes.

    Returns:
        float64 ``(known + novel,)``, each at least 1.

    Raises:
        DataError: clusters or labels out of range.
        MissingExtraError: scipy is not installed.

    Source: Bai et al., "BaCon", NeurIPS 2023, arXiv 2310.01376, released ``dist_est.py``.
    """
    count = known + novel
    clusters = check_integers("clusters", clusters, len(clusters))
    labels = check_integers("labels", labels, len(clusters))
    if int(clusters.min()) < 0 or int(clusters.max()) >= count:
        raise DataError(f"clusters must be in 0..{count - 1}.")
    if int(labels.min()) < -1 or int(labels.max()) >= known:
        raise DataError(f"labels must be in 0..{known - 1}, or -1.")
    marked = labels >= 0
    table = torch.bincount(clusters[marked] * count + labels[marked], minlength=count * count)
    sizes = torch.bincount(clusters, minlength=count).clamp(min=1).double()
    share = table.reshape(count, count) / sizes[:, None]
    rows, columns = require("scipy.optimize", "probe").linear_sum_assignment(-share.numpy())
    places = torch.empty(count, dtype=torch.int64)
    places[torch.as_tensor(columns)] = torch.as_tensor(rows)
    matched = sizes[places[:known]].sort().values
    estimate = torch.empty(count, dtype=torch.float64)
    labelled = torch.bincount(labels[marked], minlength=known)
    estimate[:known][labelled.argsort(stable=True)] = matched
    estimate[known:] = sizes[places[known:]].sort(descending=True).values
    return estimate
