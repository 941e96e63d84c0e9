"""FT: MoCo whose positives move apart and whose negatives are mixed with one another."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.encoders.base import Encoder
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.errors import SettingError
from counterpoint.methods.base import Fraction
from counterpoint.methods.image.moco import MoCo
from counterpoint.objectives import functional as F


class FeatureTransformation(MoCo):
    """MoCo on transformed features: harder positives by extrapolation, new negatives by mixing.

    The queue receives the keys as they were. The head ends in batch normalisation, without which
    extrapolation from the first step on can collapse. A mixed negative belongs to two images, so
    old keys of the anchor's own image stay in: let the queue be shorter than an epoch.

    Args:
        positive_alpha: a of the weights ``1 + Beta(a, a)`` of positives; None leaves them.
        negative_alpha: a of the weights ``Beta(a, a)`` of negatives; None leaves them.
        extrapolate: without it positives are interpolated, which the paper shows to hurt.
        elementwise_positives: an own weight for every number instead of one a step.
        elementwise_negatives: the same for negatives.
        mix_from: share of training, in [0, 1], from which on features are transformed; 1 never.
        temperature: divides similarities.
        queue: number of keys kept; 65,536 in the paper, for 1.3 million images.
        momentum: of the moving copy; 0.999 in the paper, 0.99 for its smaller data.
        outputs: length of the embedding.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head's hidden layer.

    Source: Zhu et al., Improving Contrastive Learning by Visualizing Feature Transformation,
    ICCV 2021, arXiv 2108.02982. Batch normalisation at the end of the head is ours.
    """

    def __init__(
        self,
        encoder: Encoder,
        positive_alpha: float | None = 2.0,
        negative_alpha: float | None = 1.6,
        extrapolate: bool = True,
        elementwise_positives: bool = False,
        elementwise_negatives: bool = False,
        mix_from: Fraction = 0.0,
        temperature: PositiveFloat = 0.2,
        queue: PositiveInt = 1024,
        momentum: Fraction = 0.99,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(
            encoder,
            temperature=temperature,
            queue=queue,
            momentum=momentum,
            outputs=outputs,
            hidden=hidden,
            batch_norm=batch_norm,
        )
        if any(alpha is not None and not alpha > 0 for alpha in (positive_alpha, negative_alpha)):
            raise SettingError(
                f"positive_alpha and negative_alpha must be above 0 or None, got "
                f"{positive_alpha} and {negative_alpha}."
            )
        if not 0 <= mix_from <= 1:
            raise SettingError(f"mix_from is a share in [0, 1], got {mix_from}.")
        self.head.append(nn.BatchNorm1d(outputs, affine=False))
        self.moving = MomentumCopy(self._network(), momentum)
        self.positive_alpha, self.negative_alpha = positive_alpha, negative_alpha
        self.extrapolate = extrapolate
        self.elementwise_positives = elementwise_positives
        self.elementwise_negatives = elementwise_negatives
        self.mix_from, self.mixing = mix_from, False

    def before_step(self, progress: float) -> None:
        super().before_step(progress)
        self.mixing = progress >= self.mix_from

    def _loss(self, queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
        if not self.mixing or len(self.queue) == 0:
            return super()._loss(queries, keys, index)
        return F.feature_transformation(
            queries,
            keys,
            self.queue.features,
            self.temperature,
            positive_alpha=self.positive_alpha,
            negative_alpha=self.negative_alpha,
            extrapolate=self.extrapolate,
            elementwise_positives=self.elementwise_positives,
            elementwise_negatives=self.elementwise_negatives,
        )
