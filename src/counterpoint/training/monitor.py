"""Says in plain words when training goes wrong in a way that the loss alone does not show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from counterpoint.errors import DataError
from counterpoint.geometry import effective_rank, penalty_entropy
from counterpoint.training.course import course_point

_ROWS = 256
_DEFAULT_TEMPERATURE = 0.1


class Monitor:
    """Looks at the codes of a step now and then.

    It takes the first two code matrices of one shape ``(B, D)`` as anchors and positives (one
    alone is measured without positives) and measures, on at most 256 rows:

    - ``guessing``: cross entropy of finding an anchor's positive among the positives of the
      batch, over ``ln B``; 1 is guessing;
    - ``spread``: mean squared distance of the normalised embeddings to their mean, 0 if all are
      equal and near 1 if they surround the origin;
    - ``effective_rank``: of the centred normalised embeddings;
    - ``effective_negatives``: exponential of the entropy of the push on the negatives, which is
      how many of them an anchor really sees.

    With positives it also keeps the ``course`` of the run, see `course_point`.

    Args:
        temperature: divides the similarities.
    """

    def __init__(self, temperature: float | None = None) -> None:
        self.temperature = temperature or _DEFAULT_TEMPERATURE
        self.warnings: list[str] = []
        self.figures: dict[str, float] = {}
        self.course: list[dict[str, Any]] = []
        self._highest_rank = 0.0
        self._said: set[str] = set()

    @torch.no_grad()
    def look(self, codes: Mapping[str, Tensor], step: int, progress: float) -> list[str]:
        """Measures, and returns the warnings that are new.

        Args:
            codes: what `Method.encode` returned.
            step: number of the step, for the words.
            progress: share of training done, in [0, 1].
        """
        pair = _pair(codes)
        if pair is None:
            return []
        anchors, positives = pair
        self.figures = measure(anchors, positives, self.temperature)
        if positives is not None:
            with suppress(DataError):  # too few rows, or a row without direction
                self.course.append(course_point(anchors, positives, self.temperature, step))
        found = list(self._judge(self.figures, anchors.shape[0], step, progress))
        new = [text for kind, text in found if kind not in self._said]
        self._said.update(kind for kind, _ in found)
        self.warnings.extend(new)
        return new

    def _judge(
        self, figures: Mapping[str, float], rows: int, step: int, progress: float
    ) -> list[tuple[str, str]]:
        found = []
        at = f"At step {step}"
        rank = figures["effective_rank"]
        self._highest_rank = max(self._highest_rank, rank)
        if figures["spread"] < 0.01:
            found.append(
                (
                    "collapse",
                    f"{at} the space has collapsed: all embeddings point the same way (spread "
                    f"{figures['spread']:.1e}). Lower the learning rate, or raise the number of "
                    f"negatives or the temperature.",
                )
            )
        elif rows > 8 and (rank < 2 or rank < 0.1 * self._highest_rank):
            found.append(
                (
                    "rank",
                    f"{at} the embeddings use only {rank:.1f} dimensions (highest so far "
                    f"{self._highest_rank:.1f}): the space is collapsing onto a line or plane. "
                    f"Lower the learning rate or raise the temperature.",
                )
            )
        if progress >= 0.2 and figures.get("guessing", 0) > 0.98:
            found.append(
                (
                    "guessing",
                    f"{at} nothing is learnt: finding the positive among {rows} candidates costs "
                    f"{figures['guessing'] * math.log(rows):.2f}, which is guessing "
                    f"(ln {rows} = {math.log(rows):.2f}). Check that the two views of a sample "
                    f"have something in common, and the learning rate.",
                )
            )
        if rows > 32 and figures.get("effective_negatives", rows) < 2:
            found.append(
                (
                    "negatives",
                    f"{at} an anchor really sees {figures['effective_negatives']:.1f} of "
                    f"{rows - 1} negatives: the temperature {self.temperature:g} is so low that "
                    f"only the nearest one counts.",
                )
            )
        return found


def measure(anchors: Tensor, positives: Tensor | None, temperature: float) -> dict[str, float]:
    """The figures of `Monitor`.

    Args:
        anchors: ``(B, D)``.
        positives: ``(B, D)``, row i belongs to anchor i; None leaves out what needs them.
        temperature: divides the similarities.
    """
    z = normalize(anchors.float(), dim=1)
    spread = float(1 - z.mean(dim=0).square().sum())
    rank = float(effective_rank(z, center=True)) if spread > 1e-6 else 1.0
    figures = {"spread": spread, "effective_rank": rank}
    if positives is not None and len(z) > 1:
        similarity = z @ normalize(positives.float(), dim=1).T
        own = torch.arange(len(z), device=z.device)
        loss = torch.nn.functional.cross_entropy(similarity / temperature, own)
        figures["guessing"] = float(loss) / math.log(len(z))
        others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        negatives = similarity[others].reshape(len(z), -1)
        figures["effective_negatives"] = float(penalty_entropy(negatives, temperature).exp().mean())
    return figures


def _pair(codes: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None] | None:
    matrices = [v for v in codes.values() if v.ndim == 2 and v.is_floating_point()]
    if not matrices or len(matrices[0]) < 2:
        return None
    anchors = matrices[0].detach()[:_ROWS]
    alike = [m for m in matrices[1:] if m.shape == matrices[0].shape]
    return anchors, alike[0].detach()[:_ROWS] if alike else None
