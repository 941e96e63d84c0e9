"""The hard contrastive loss: only the hardest negatives repel."""

from __future__ import annotations

from functools import partial

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Fraction
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives import functional as F


class HardContrastive(SimCLR):
    """Two views, of whose negatives an anchor keeps only the most similar fraction ``alpha``.

    Explicit mining gives a uniform space at a temperature high enough to tolerate neighbours of
    the same meaning. From a cold start it can collapse, so training begins with all negatives.

    Args:
        temperature: divides similarities; the paper finds 0.3 and more best with mining.
        alpha: fraction of the negatives kept, in (0, 1]; 0.0819 is the paper's for CIFAR-10.
        mine_from: share of training, in [0, 1], from which on only the hardest repel; 1 never.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head.

    Source: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021,
    arXiv 2012.09740, Eq. 9. The paper contrasts with a memory bank; here the other view of each
    sample of the batch takes its place, both ways. Mining from later on is ours.
    """

    def __init__(
        self,
        encoder: Encoder,
        temperature: PositiveFloat = 0.3,
        alpha: Fraction = 0.0819,
        mine_from: Fraction = 0.25,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            encoder,
            temperature=temperature,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        if alpha == 0:
            raise SettingError("alpha must lie in (0, 1], got 0: no negative would be kept.")
        self.alpha, self.mine_from, self.mining = alpha, mine_from, False

    def before_step(self, progress: float) -> None:
        self.mining = progress >= self.mine_from

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        first, second = codes["z1"], codes["z2"]
        return {"loss": (self._one_way(first, second) + self._one_way(second, first)) / 2}

    def _one_way(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        objective = F.info_nce
        if self.mining:
            objective = partial(F.hard_contrastive, alpha=self.alpha)
        return objective(
            anchors, candidates, temperature=self.temperature, across_ranks=is_distributed()
        )
