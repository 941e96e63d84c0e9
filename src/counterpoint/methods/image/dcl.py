"""DCL and DCLW: SimCLR without the positive in the denominator."""

from __future__ import annotations

from functools import partial

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import is_distributed
from counterpoint.methods.base import Codes
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives import functional as F


class DCL(SimCLR):
    """SimCLR whose objective is decoupled: easy positives no longer damp the gradient.

    Helps where batches are small and the optimiser does not rescale gradients (SGD).

    Args:
        weighted: DCLW, which weighs pairs that are still far apart more.
        temperature: divides similarities.
        sigma: temperature of the weights of DCLW.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head.

    Source: Yeh et al., Decoupled Contrastive Learning, ECCV 2022, arXiv 2110.06848.
    """

    def __init__(
        self,
        encoder: Encoder,
        weighted: bool = False,
        temperature: PositiveFloat = 0.1,
        sigma: PositiveFloat = 0.5,
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
        self.decoupled = partial(F.dclw, sigma=sigma) if weighted else F.dcl

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        loss = self.decoupled(
            codes["z1"],
            codes["z2"],
            temperature=self.temperature,
            across_ranks=is_distributed(),
        )
        return {"loss": loss}
