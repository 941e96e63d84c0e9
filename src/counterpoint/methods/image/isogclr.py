"""iSogCLR: contrast with all samples from small batches, and a temperature for every sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.engine.ranks import is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Fraction, View
from counterpoint.methods.image.simclr import SimCLR
from counterpoint.objectives.sogclr import SogCLR
from counterpoint.pairs.sample_state import SampleState

LEAST = 0.012
"""Of temperatures: ``exp(1/t)``, of which the estimates are means, leaves float32 below 0.0113."""
_STATE = "global_loss.state."


class ISogCLR(SimCLR):
    """Two views; of every training sample the mean over ALL negatives and a temperature are kept.

    Samples of frequent meaning, which have many near neighbours, come to larger temperatures than
    rare ones. The loss is a surrogate with the right gradient, whose value means little; the part
    ``objective`` is the value. ``gamma`` and ``beta`` weigh the NEW value.

    Args:
        temperature: of every sample at the start, at least 0.012.
        rho: radius of the set of weights of negatives, above 0, at most the logarithm of their
            number; 0.1 to 0.5. None keeps all temperatures: SogCLR.
        gamma: weight of the new estimate of a sample, in (0, 1].
        eta: step of the temperatures.
        beta: weight of the new gradient of a temperature, in (0, 1].
        lowest: least temperature, at least 0.012.
        highest: largest temperature.
        outputs: length of the embedding that the objective sees.
        hidden: units of the head's hidden layer; None takes the encoder's width.
        batch_norm: batch normalisation in the head.

    Source: Qiu et al., Not All Semantics are Created Equal, ICML 2023, arXiv 2305.11965; Yuan et
    al., ICML 2022, arXiv 2202.12387 (SogCLR). Defaults as in LibAUC.
    """

    def __init__(
        self,
        encoder: Encoder,
        temperature: PositiveFloat = 0.1,
        rho: PositiveFloat | None = 0.3,
        gamma: Fraction = 0.9,
        eta: NonNegativeFloat = 0.01,
        beta: Fraction = 0.9,
        lowest: PositiveFloat = 0.05,
        highest: PositiveFloat = 0.7,
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
        for argument, value in (("temperature", temperature), ("lowest", lowest)):
            if value < LEAST:
                raise SettingError(f"{argument} must be at least {LEAST}, got {value}.")
        self.global_loss = SogCLR(
            1,
            temperature,
            gamma=gamma,
            rho=rho,
            eta=eta,
            beta=beta,
            lowest=lowest,
            highest=highest,
        )

    def views(self, data: Dataset) -> Sequence[View]:
        if self.global_loss.state.samples != len(data.train):
            self._make_state(len(data.train))
        return super().views(data)

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        self.global_loss.across_ranks = is_distributed()
        loss = self.global_loss(codes["z1"], codes["z2"], batch.index)
        return {"loss": loss, "objective": self.global_loss.last_value}

    def _make_state(self, samples: int) -> None:
        state = SampleState(samples, estimate=0.0, momentum=0.0, temperature=self.temperature)
        old: Tensor = self.global_loss.state.get_buffer("estimate")
        self.global_loss.state = state.to(old.device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], *args: Any) -> None:
        """A saved state says of how many samples it is; called before the parts are loaded."""
        estimates = state_dict.get(f"{args[0]}{_STATE}estimate")
        if estimates is not None:
            self._make_state(len(estimates))
        super()._load_from_state_dict(state_dict, *args)
