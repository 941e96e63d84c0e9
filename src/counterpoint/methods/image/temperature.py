"""The hard contrastive loss: only the hardest negatives repel."""

from __future__ import annotations

from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives import functional as F


class HardContrastive(SimCLR):
    """SimCLR where an anchor keeps only the most similar fraction ``alpha`` of its negatives.

    Explicit mining gives a uniform space at a temperature high enough to tolerate neighbours of
    the same meaning. From a cold start it can collapse, so training begins with all negatives.

    Args:
        temperature: divides similarities; the paper finds 0.3 and more best with mining.
        alpha: fraction of the negatives kept, in (0, 1]; 0.0819 is the paper's for CIFAR-10.
        warmup: share of training with all negatives, in [0, 1]; 1 never mines.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head.

    Source: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021,
    arXiv 2012.09740, Eq. 9. The paper contrasts with a memory bank, here the batch takes its
    place; the warm-up is ours.
    """

    def __init__(
        self,
        encoder: Encoder,
        temperature: float = 0.3,
        alpha: float = 0.0819,
        warmup: float = 0.25,
        outputs: int = 128,
        hidden: int | None = None,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            encoder,
            temperature=temperature,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        if not 0 < alpha <= 1 or not 0 <= warmup <= 1:
            raise SettingError(f"alpha and warmup are shares, got {alpha} and {warmup}.")
        self.alpha, self.warmup, self.mining = alpha, warmup, False

    def before_step(self, progress: float) -> None:
        self.mining = progress >= self.warmup

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        if not self.mining:
            return super().contrast(codes, batch)
        loss = F.hard_contrastive(
            codes["z1"],
            codes["z2"],
            temperature=self.temperature,
            alpha=self.alpha,
            across_ranks=is_distributed(),
        )
        return {"loss": loss}
