"""A temperature for every pair of projections, from the two of them."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from counterpoint.errors import SettingError

PairForm = Literal["dot", "concatenation"]
START = 0.1


class PairTemperature(nn.Module):
    """``lowest + (highest - lowest) sigmoid(r)`` of a pair, ``r`` from one MLP for all heads.

    With ``form="dot"``, ``r = phi(a) . phi(b)``: the same for both orders of the pair, and one
    matrix product for all pairs. As ``phi(a) . phi(a) >= 0``, equal vectors never get a temperature
    below the middle of the range. With ``form="concatenation"``, ``r = MLP([a, b])``: it can give
    similar pairs a low temperature, depends on the order, and is meant for selected pairs only.

    The weights of the last layer begin small, so that temperatures begin near the middle, and not
    at zero, where no gradient would reach the first layer of the dot form.

    Args:
        width: D of the projections, as they are (not normalised).
        hidden: units of both layers of phi.
        form: ``"dot"`` or ``"concatenation"``.
        lowest: lower bound, above 0; part of the method, as the loss has no bound without it.
        highest: upper bound.

    Raises:
        SettingError: an unknown form, or not ``0 < lowest < highest``.

    Source: Wang et al. 2024, Adaptive Multi-head Contrastive Learning, arXiv 2310.05615: the MLP
    shared by heads and inputs, dot product and sigmoid; the concatenation is the authors' code.
    Width and range are reconstructed.
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int = 128,
        form: PairForm = "dot",
        lowest: float = 0.05,
        highest: float = 1.0,
    ) -> None:
        super().__init__()
        if form not in get_args(PairForm):
            raise SettingError(f"form must be one of {', '.join(get_args(PairForm))}, not {form}.")
        if not 0 < lowest < highest:
            raise SettingError(f"Need 0 < lowest < highest, not {lowest} and {highest}.")
        self.form, self.lowest, self.highest = form, lowest, highest
        self.first = nn.Linear(width, hidden)
        self.last = nn.Linear(hidden, hidden if form == "dot" else 1)
        if form == "concatenation":
            self.second = nn.Linear(width, hidden, bias=False)
        with torch.no_grad():
            self.last.weight.mul_(START)
            self.last.bias.mul_(START)

    def features(self, z: Tensor) -> Tensor:
        """``phi(z)``, ``(..., hidden)``, of the dot form."""
        features: Tensor = self.last(self.first(z).relu())
        return features

    def of_scores(self, scores: Tensor) -> Tensor:
        """Temperatures of ``r``."""
        return self.lowest + (self.highest - self.lowest) * scores.sigmoid()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Temperatures ``(...)`` of projections ``(..., D)`` that broadcast against each other."""
        if self.form == "dot":
            return self.of_scores((self.features(a) * self.features(b)).sum(-1))
        joined = self.first(a) + self.second(b)
        return self.of_scores(self.last(joined.relu())[..., 0])

    def share_at_bound(self, temperatures: Tensor, margin: float = 0.01) -> Tensor:
        """Share of temperatures within ``margin`` of the range from its lower end, ``()``.

        Temperatures that run there say that beta is too small for these similarities.
        """
        bound = self.lowest + margin * (self.highest - self.lowest)
        return (temperatures.detach() <= bound).double().mean()

    def extra_repr(self) -> str:
        return f"form={self.form}, lowest={self.lowest}, highest={self.highest}"
