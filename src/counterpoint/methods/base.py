"""The contract of a whole method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.progress import OnProgress

Fraction = Annotated[float, Field(ge=0, le=1)]
"""The type of a hyper-parameter between 0 and 1."""

View = Callable[[Any], Any]
"""Makes one random view of a raw sample: the view, or a pair ``(view, meta)``.

Randomness comes from torch's global generator, which the loader seeds for every sample, so that
views depend on seed, epoch and sample alone and a resumed run sees the same ones."""

Codes = Mapping[str, Tensor]
"""What `Method.encode` returns: named tensors whose first dimension runs over the batch."""


class Method(nn.Module):
    """One published system: which views, how a batch becomes a loss, what is kept between steps.

    A subclass takes the encoder first and its hyper-parameters as typed keyword arguments with the
    paper's defaults; those names are the ones of Python, YAML and command line. Everything kept
    between steps lives in parameters and buffers, so that ``state_dict`` resumes to equal numbers.

    ``prepare`` is called once before training, in the process that starts the others.

    A step is ``before_step``, ``encode``, ``contrast``, backward, optimiser, ``after_step``.
    ``encode`` must treat samples one by one (up to batch normalisation) and have no side effect:
    gradient caching calls it in chunks, twice. State is changed elsewhere.
    """

    modalities: ClassVar[tuple[str, ...]] = ("images",)
    needs_labels: ClassVar[bool] = False

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    @classmethod
    def trained_first(cls, arguments: Mapping[str, Any]) -> Mapping[str, str]:
        """Which arguments name a trained model, and the method that trains it.

        `counterpoint.fit` trains those that are None on the same data, before this method.

        Args:
            arguments: every hyper-parameter of this method.
        """
        return {}

    def prepare(self, data: Dataset, on_progress: OnProgress | None = None) -> Dataset:
        """The data to train on: those given, or more made of them, such as generated images.

        Called again when a run is resumed; the answer follows from ``data`` and arguments alone.
        """
        return data

    def views(self, data: Dataset) -> Sequence[View]:
        """The views this method wants of each sample, one callable a view."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> Codes:
        """Everything a step needs from the networks, row by row."""
        raise NotImplementedError

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        """The loss of the whole batch under ``"loss"``, and named parts to log."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.contrast(self.encode(batch), batch)

    def embed(self, inputs: Inputs) -> Tensor:
        """Embeddings ``(B, D)`` for use after training; the representation unless overridden."""
        representation: Tensor = self.encoder(inputs)
        return representation

    def export(self, folder: Path) -> None:
        """Writes what else a saved model is to hold, in the format of other libraries."""

    def before_step(self, progress: float) -> None:
        """Called once before each step; ``progress`` runs from 0 to 1 over training."""

    def after_step(self, progress: float) -> None:
        """Called once after each optimiser step."""

    def begin_epoch(self, epoch: int, data: Dataset) -> None:
        """Called before each epoch, e.g. to refresh clusters."""
