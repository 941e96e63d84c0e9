"""AMCL: several projection heads, and in each a temperature for every pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.encoders.pair_temperature import PairForm, PairTemperature
from counterpoint.engine.ranks import gather_rows, is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Fraction, Method, View
from counterpoint.methods.image.moco import Host, negatives
from counterpoint.objectives import functional as F
from counterpoint.objectives.amcl import Form
from counterpoint.objectives.amcl import Heads as Over
from counterpoint.pairs.queue import MemoryQueue
from counterpoint.views import augment


class AMCL(Method):
    """A host through several heads; each sees pairs in its own way, with its own temperatures.

    On SimCLR the negatives are the other views of the batch. On MoCo the heads have a momentum copy
    like the encoder, and the queue holds keys of every head; temperatures have no copy. The forms
    for SimSiam and Barlow Twins are there as objectives, `counterpoint.objectives.functional`
    ``amcl_simsiam`` and ``amcl_barlow``; those two systems, CAN and LGP are no methods here.

    A small network shared by the heads gives each pair its temperature; a penalty keeps it from
    the trivial solution. Heads and temperatures are left off after training. The part
    ``temperature`` is the mean of the positives', ``at_bound`` the share of them at the lower
    bound: lower ``beta`` where it stays near 1.

    Args:
        host: ``"simclr"`` or ``"moco"``.
        heads: how many; 3 to 5 in the paper.
        adaptive: False gives every pair ``temperature``, for comparison.
        temperature: divides similarities where it is not adaptive.
        form: ``"softmax"`` over all negatives, or ``"max"``, the paper's one hardest.
        hardest: most similar negatives kept of each anchor and head; None keeps all, and 1 in
            ``"max"``.
        decoupled: leaves the positive out of the second term, as the paper does for SimCLR.
        beta: weight of the penalty on temperatures; 0.1 in the authors' code.
        lowest: lower bound of adaptive temperatures.
        highest: upper bound.
        pairs: how the temperature sees a pair: ``"dot"``, or ``"concatenation"``, the authors'
            code, which needs ``hardest`` or ``form="max"``.
        pair_hidden: units of the network of temperatures.
        over: ``"mean"`` over heads, or ``"sum"``, the paper's, whose gradient grows with them.
        outputs: length of each embedding.
        hidden: units of each head's hidden layer, 512 in the paper; None takes the encoder's width.
        batch_norm: batch normalisation in the heads; MoCo's paper has none.
        queue: keys kept, on MoCo.
        momentum: of the moving copy, on MoCo; see `counterpoint show moco`.

    Source: Wang et al., Adaptive Multi-head Contrastive Learning, ECCV 2024, arXiv 2310.05615. The
    softmax form and the bounds are reconstructed, see `counterpoint.objectives.functional.amcl`.
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        host: Host = "simclr",
        heads: PositiveInt = 3,
        adaptive: bool = True,
        temperature: PositiveFloat = 0.1,
        form: Form = "softmax",
        hardest: PositiveInt | None = None,
        decoupled: bool = True,
        beta: NonNegativeFloat = 0.1,
        lowest: PositiveFloat = 0.05,
        highest: PositiveFloat = 1.0,
        pairs: PairForm = "dot",
        pair_hidden: PositiveInt = 128,
        over: Over = "mean",
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = True,
        queue: PositiveInt = 4096,
        momentum: Fraction = 0.99,
    ) -> None:
        super().__init__(encoder)
        if adaptive and pairs == "concatenation" and form == "softmax" and hardest is None:
            raise SettingError(
                "pairs='concatenation' with all negatives would run its network for every pair; "
                "set hardest, or form='max'."
            )
        self.heads = SideBySide(
            projection(encoder.width, outputs, hidden=hidden, batch_norm=batch_norm)
            for _ in range(heads)
        )
        self.moving: MomentumCopy | None = None
        if host == "moco":
            self.moving = MomentumCopy(self._network(), momentum)
            self.queue = MemoryQueue(queue, heads * outputs)
        self.pair_temperature: PairTemperature | None = None
        if adaptive:
            self.pair_temperature = PairTemperature(
                outputs, hidden=pair_hidden, form=pairs, lowest=lowest, highest=highest
            )
        self.objective = partial(
            F.amcl,
            temperature=temperature,
            form=form,
            hardest=hardest,
            decoupled=decoupled,
            beta=beta,
            heads=over,
        )

    def views(self, data: Dataset) -> Sequence[View]:
        return [augment(data), augment(data)]

    def before_step(self, progress: float) -> None:
        if self.moving is not None:
            self.moving.update(self._network(), progress)

    def _network(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.heads)

    def encode(self, batch: Batch) -> Codes:
        first, second = batch.views
        network = self._network()
        return {"z1": network(first), "z2": (self.moving or network)(second)}

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        z1, z2 = self._apart(codes["z1"]), self._apart(codes["z2"])
        loss = self.objective(
            z1, z2, pair_temperature=self.pair_temperature, **self._negatives(codes["z2"], batch)
        )
        if self.moving is not None and self.training:
            self.queue.enqueue(gather_rows(codes["z2"]), ids=gather_rows(batch.index))
        return {"loss": loss, **self._temperatures(z1, z2)}

    def _negatives(self, keys: Tensor, batch: Batch) -> dict[str, Any]:
        if self.moving is None:
            return {"across_ranks": is_distributed()}
        held = negatives(self.queue, keys, batch.index)
        return {**held, "negatives": self._apart(held["negatives"])}

    def _apart(self, z: Tensor) -> Tensor:
        """``(B, heads, outputs)``."""
        return z.view(len(z), len(self.heads), -1)

    @torch.no_grad()
    def _temperatures(self, z1: Tensor, z2: Tensor) -> dict[str, Tensor]:
        if self.pair_temperature is None:
            return {}
        found = self.pair_temperature(z1, z2)
        return {
            "temperature": found.mean(),
            "at_bound": self.pair_temperature.share_at_bound(found),
        }


class SideBySide(nn.ModuleList):
    """Heads on one representation, their embeddings beside each other ``(B, heads * outputs)``."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.cat([head(h) for head in self], 1)
