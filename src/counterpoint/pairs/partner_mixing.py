"""Every row of a batch mixed with a partner of the same batch, in its own proportion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.engine.checks import check_finite, check_integers
from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.mixing import draw_beta, mix


@dataclass(frozen=True)
class PartnerMixing:
    """``m_i = share_i x_i + (1 - share_i) x_partner(i)``.

    Attributes:
        partner: int64 ``(N,)``, positions in the batch.
        share: of the row itself, float in [0, 1], ``(N,)``; 1 leaves the row as it is.

    Raises:
        DataError: shapes, positions or shares that do not fit.

    Source: Kumar et al. 2025, M3CoL, arXiv 2409.17777.
    """

    partner: Tensor
    share: Tensor

    def __post_init__(self) -> None:
        rows = self.share.numel()
        partner = check_integers("partner", self.partner, rows)
        if self.share.dim() != 1 or not self.share.is_floating_point():
            raise DataError(f"share must be float (N,), got {tuple(self.share.shape)}.")
        check_finite(share=self.share)
        if not bool(((self.share >= 0) & (self.share <= 1)).all()):
            raise DataError("share must lie in [0, 1] in every row.")
        if not bool(((partner >= 0) & (partner < rows)).all()):
            raise DataError(f"partner must hold positions from 0 to {rows - 1}.")

    def __call__(self, x: Tensor) -> Tensor:
        """The mixtures ``(N, ...)`` of embeddings or raw inputs; x itself is not changed.

        Raises:
            DataError: another number of rows.
        """
        if len(x) != len(self.share):
            raise DataError(f"The mixing is of {len(self.share)} rows, x has {len(x)}.")
        share = self.share.to(x).view(-1, *[1] * (x.dim() - 1))
        return mix(x, x[self.partner], share)


def draw_partner_mixing(
    like: Tensor,
    alpha: float = 0.15,
    selected: float = 0.5,
    generator: torch.Generator | None = None,
) -> PartnerMixing:
    """A random permutation as partners, shares of Beta(alpha, alpha) drawn for every row.

    Args:
        like: the batch ``(N, ...)``; gives rows, device and dtype.
        alpha: of the Beta distribution, above 0.
        selected: probability that a row is mixed at all; the others have share exactly 1.
        generator: of the draws; torch's own if None.

    Raises:
        SettingError: alpha or selected out of range.

    Source: Kumar et al. 2025, M3CoL, arXiv 2409.17777.
    """
    if not 0 <= selected <= 1:
        raise SettingError(f"selected must be a probability, got {selected}.")
    rows = len(like)
    share = draw_beta(alpha, (rows,), like, generator)
    chosen = torch.rand(rows, generator=generator, device=like.device) < selected
    partner = torch.randperm(rows, generator=generator, device=like.device)
    return PartnerMixing(partner, share.where(chosen, 1.0))
