"""TFUP: a cache of confident and central unlabelled samples corrects zero-shot predictions."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from counterpoint.engine.checks import prepare
from counterpoint.errors import DataError, SettingError


class Selected(NamedTuple):
    """Cached samples, class by class: positions int64 ``(M,)`` and the class each stands for."""

    indices: Tensor
    labels: Tensor


def shots_for(samples: int, classes: int, share: float = 0.3) -> int:
    """``floor(share N / C)``, but 9 to 16: cached samples a class for N samples of C classes."""
    return min(max(int(share * samples / classes), 9), 16)


def select_cache(features: Tensor, texts: Tensor, shots: int, *, scale: float = 10.0) -> Selected:
    """Of the ``2 shots`` most confident samples of each class, the ``shots`` most central.

    ``p_n = softmax_c(scale x_n . w_c)``; confidence is ``p_n[c]``, and a candidate j is central if
    ``sum_i KL(p_j || p_i)`` over the candidates is small. A sample may stand for several classes;
    its most probable class is not looked at. With 2 shots >= N all classes have the same candidates
    and the cache says nothing: a warning says so.

    Args:
        features: of unlabelled samples ``(N, D)``, normalised here.
        texts: of the classes ``(C, D)``, normalised here.
        shots: at least 1; see `shots_for`. Fewer are kept if there are fewer samples.
        scale: of the cosines inside the softmax.

    Raises:
        DataError: features that do not fit, NaN or infinity.
        SettingError: shots below 1.

    Source: "Training-Free Unsupervised Prompt for Vision-Language Models", 2024, arXiv 2404.16339.
    """
    if shots < 1:
        raise SettingError(f"shots must be at least 1, got {shots}.")
    x, w = prepare(True, features=features, texts=texts)
    log_p = _log_probabilities(x, w, scale)
    samples, classes = log_p.shape
    if classes > 1 and samples <= 2 * shots:
        warnings.warn(
            f"{samples} samples are at most twice the {shots} shots: every class caches the same "
            "ones, which changes no prediction. Use fewer shots.",
            stacklevel=2,
        )
    chosen = []
    for label in range(classes):
        order = log_p[:, label].argsort(descending=True, stable=True)
        candidates = order[: 2 * shots]
        spread = divergences(log_p[candidates], log_p[candidates]).sum(1)
        chosen.append(candidates[spread.argsort(stable=True)[:shots]])
    labels = torch.arange(classes, device=log_p.device)
    return Selected(torch.cat(chosen), labels.repeat_interleave(len(chosen[0])))


def divergences(log_p: Tensor, log_q: Tensor) -> Tensor:
    """``KL(p_n || q_k)`` of log-probabilities ``(N, C)`` and ``(K, C)``: ``(N, K)``."""
    p = log_p.exp()
    return (p * log_p).sum(1, keepdim=True) - p @ log_q.T


def semantic_similarity(
    features: Tensor, keys: Tensor, texts: Tensor, *, scale: float = 10.0
) -> Tensor:
    """``S_nk = 2 (1 - (KL_nk - min_k) / (max_k - min_k))``, in [0, 2], of class distributions.

    Where the keys are equally far (closer than 1e-6, in float64 1e-12) all of a row are 1; so it is
    with one key or one class.

    Args:
        features: of test samples ``(N, D)``, normalised here, like the others.
        keys: cached features ``(K, D)``.
        texts: of the classes ``(C, D)``.
        scale: of the cosines inside the softmax.

    Returns:
        ``(N, K)``, at least float32.

    Source: arXiv 2404.16339, Multi-level Similarity Measure.
    """
    x, cached, w = prepare(True, features=features, keys=keys, texts=texts)
    distance = divergences(_log_probabilities(x, w, scale), _log_probabilities(cached, w, scale))
    low, high = distance.aminmax(dim=1, keepdim=True)
    gap = high - low
    flat = gap <= (1e-12 if distance.dtype == torch.float64 else 1e-6)
    return 2 * (1 - (distance - low) / gap.where(~flat, 1.0)).where(~flat, 0.5)


def tfup_logits(
    features: Tensor,
    keys: Tensor,
    key_labels: Tensor,
    texts: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 1.0,
    logit_scale: float = 100.0,
    scale: float = 10.0,
) -> Tensor:
    """``logit_scale x W' + alpha exp(-beta (1 - R)) V``, ``R = cosine x semantic_similarity``.

    ``V`` has a row a key, one-hot in the class it stands for, so the second part is a sum over the
    keys of each class. alpha was tuned for a logit scale of 100; with others tune it again. With
    one class the zero-shot logits are returned.

    Args:
        features: of test samples ``(N, D)``, normalised here, like the others.
        keys: cached features ``(K, D)``.
        key_labels: int64 ``(K,)``, or one-hot ``(K, C)``.
        texts: of the classes ``(C, D)``.
        alpha: weight of the cache; 0 is zero-shot.
        beta: sharpness, at least 0.
        logit_scale: of the zero-shot logits.
        scale: of the class distributions.

    Returns:
        ``(N, C)``, at least float32.

    Raises:
        DataError: features or labels that do not fit, NaN or infinity.
        SettingError: negative beta.

    Source: arXiv 2404.16339.
    """
    if beta < 0:
        raise SettingError(f"beta must be at least 0, got {beta}.")
    x, cached, w = prepare(True, features=features, keys=keys, texts=texts)
    zero_shot = logit_scale * x @ w.T
    if len(w) == 1:
        return zero_shot
    values = one_hot(key_labels, len(w)) if key_labels.dim() == 1 else key_labels
    if values.shape != (len(cached), len(w)):
        raise DataError(f"key_labels must give {len(cached)} keys one of {len(w)} classes each.")
    likeness = (x @ cached.T) * semantic_similarity(x, cached, w, scale=scale)
    return zero_shot + alpha * (-beta * (1 - likeness)).exp() @ values.to(x.dtype)


def _log_probabilities(x: Tensor, texts: Tensor, scale: float) -> Tensor:
    return (scale * x @ texts.T).log_softmax(1)
