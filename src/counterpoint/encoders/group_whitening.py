"""Shuffled group whitening: channels decorrelated within random groups."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError, SettingError


def group_whitening(
    x: Tensor,
    groups: int,
    permutation: Tensor | None = None,
    *,
    eps: float = 1e-5,
    through_whitening: bool = False,
) -> Tensor:
    """Centres the rows and gives every group of channels the identity covariance (ZCA).

    Channels are permuted, cut in groups of ``k = D / G``; a group ``X_g`` of centred rows becomes
    ``X_g U (L + eps)^(-1/2) U'`` for its covariance ``U L U' = X_g' X_g / n``; the permutation is
    undone. k = 1 is standardisation of channels, k = D full whitening; the permutation matters only
    in between.

    Args:
        x: rows of ONE view ``(n, D)``; n above k, better 4 k.
        groups: G, divides D.
        permutation: of the channels, int64 ``(D,)``; None keeps their order.
        eps: added to the eigenvalues; with 0 a singular covariance is refused.
        through_whitening: let the gradient pass the whitening matrix too; it explodes for nearly
            equal eigenvalues. By default it passes the centring alone.

    Returns:
        ``(n, D)`` of the dtype of ``x``; at least float32 inside.

    Raises:
        DataError: not a matrix, NaN or infinity, a permutation that is none, n <= k with eps 0, or
            a constant channel with eps 0.
        SettingError: groups that do not divide D, eps below 0.

    Source: Zhuo et al., "WhitenedCSE", ACL 2023, arXiv 2305.17746, Section 3.
    """
    k = _group_size(x, groups, eps)
    with torch.autocast(x.device.type, enabled=False):
        rows = x.to(torch.promote_types(x.dtype, torch.float32))
        if permutation is not None:
            _check_permutation(permutation, x.shape[1])
            rows = rows[:, permutation]
        centred = rows - rows.mean(0)
        parts = centred.reshape(len(x), groups, k).transpose(0, 1)
        source = parts if through_whitening else parts.detach()
        values, vectors = torch.linalg.eigh(source.transpose(1, 2) @ source / len(x))
        if eps == 0:
            _check_regular(values, len(x))
        matrix = (vectors * (values.clamp(min=0) + eps).rsqrt()[:, None]) @ vectors.transpose(1, 2)
        white = (parts @ matrix).transpose(0, 1).reshape(x.shape)
    if permutation is not None:
        white = torch.empty_like(white).index_copy(1, permutation, white)
    found: Tensor = white.to(x.dtype)
    return found


def _group_size(x: Tensor, groups: int, eps: float) -> int:
    if x.dim() != 2 or x.numel() == 0 or not x.is_floating_point():
        raise DataError(f"x must be floats (n, D), got {tuple(x.shape)} of {x.dtype}.")
    if not bool(torch.isfinite(x.detach()).all()):
        raise DataError("x holds NaN or infinity.")
    if groups < 1 or x.shape[1] % groups:
        raise SettingError(f"groups must divide the {x.shape[1]} channels, got {groups}.")
    if eps < 0:
        raise SettingError(f"eps must be at least 0, got {eps}.")
    k = x.shape[1] // groups
    if eps == 0 and len(x) <= k:
        raise DataError(
            f"{len(x)} rows cannot whiten groups of {k} channels; use more rows, groups or eps."
        )
    return k


def _check_permutation(permutation: Tensor, width: int) -> None:
    order = torch.arange(width, device=permutation.device)
    if permutation.shape != (width,) or not torch.equal(permutation.sort().values, order):
        raise DataError(f"permutation must hold 0..{width - 1} once each.")


def _check_regular(values: Tensor, rows: int) -> None:
    tiny = torch.finfo(values.dtype).eps * rows
    if bool((values[:, 0] <= tiny * values[:, -1]).any()):
        raise DataError("A group of channels has a singular covariance; give eps above 0.")


class ShuffledGroupWhitening(nn.Module):
    """`group_whitening` of each view with a permutation of its own, drawn anew at every call.

    Stands between the encoder and the head in training (whitening, linear, tanh) and is left out
    afterwards; it keeps no state. Whitening all views together would mix those of one sample and
    halve the variety.

    Args:
        groups: G; 128 of 768 channels in the paper.
        shuffle: permute the channels.
        eps: added to the eigenvalues.
        through_whitening: as in `group_whitening`.

    Source: Zhuo et al., "WhitenedCSE", ACL 2023, arXiv 2305.17746, Section 3.
    """

    def __init__(
        self,
        groups: int = 128,
        *,
        shuffle: bool = True,
        eps: float = 1e-5,
        through_whitening: bool = False,
    ) -> None:
        super().__init__()
        self.groups, self.shuffle = groups, shuffle
        self.eps, self.through_whitening = eps, through_whitening

    def forward(
        self,
        *views: Tensor,
        permutations: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> list[Tensor]:
        """Whitens views.

        Args:
            views: each ``(n, D)``.
            permutations: int64 ``(V, D)``, replayed instead of drawn.
            generator: of the draw.
        """
        out = []
        for place, x in enumerate(views):
            order = None
            if permutations is not None:
                order = permutations[place]
            elif self.shuffle:
                order = torch.randperm(x.shape[1], generator=generator).to(x.device)
            out.append(
                group_whitening(
                    x,
                    self.groups,
                    order,
                    eps=self.eps,
                    through_whitening=self.through_whitening,
                )
            )
        return out
