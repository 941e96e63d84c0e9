"""A slowly moving copy of a network."""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from counterpoint.errors import SettingError

Schedule = Literal["constant", "cosine"]


class MomentumCopy(nn.Module):
    """Momentum encoder: ``k <- m k + (1 - m) q`` once a step.

    The copy is made when this object is made, so build it after pre-trained weights are loaded
    (or call `synchronise`). Its parameters take no gradient. Buffers, such as the running
    statistics of batch normalisation, are the copy's own and come from what it encodes itself.
    The usual order of a step is: `update`, encode, contrast, enqueue.

    Args:
        network: the network to follow; it is not kept, pass it to `update` again.
        momentum: m in [0, 1].
        schedule: ``"constant"``, or ``"cosine"``, which rises from m to 1 over training:
            ``1 - (1 - m) (cos(pi progress) + 1) / 2``.

    Source: MoCo, He et al. 2020, arXiv 1911.05722, Eq. 2; cosine schedule: BYOL, Grill et al.
    2020, arXiv 2006.07733.
    """

    def __init__(
        self, network: nn.Module, momentum: float = 0.999, schedule: Schedule = "constant"
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise SettingError(f"momentum must lie in [0, 1], got {momentum}.")
        if schedule not in ("constant", "cosine"):
            raise SettingError(f"schedule must be 'constant' or 'cosine', got {schedule!r}.")
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.momentum, self.schedule = momentum, schedule

    def at(self, progress: float) -> float:
        """The momentum at ``progress`` in [0, 1] of training."""
        if self.schedule == "constant":
            return self.momentum
        return 1 - (1 - self.momentum) * (math.cos(math.pi * progress) + 1) / 2

    @torch.no_grad()
    def update(self, network: nn.Module, progress: float = 0.0) -> None:
        """Moves the copy towards ``network``."""
        mine: list[Tensor] = list(self.network.parameters())
        theirs = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - self.at(progress))

    @torch.no_grad()
    def synchronise(self, network: nn.Module) -> None:
        """Makes the copy equal to ``network``, buffers included."""
        self.network.load_state_dict(network.state_dict())

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:
        return self.network(*inputs)
