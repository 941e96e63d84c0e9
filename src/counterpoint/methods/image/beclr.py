"""BECLR: student and teacher on batches enriched by the nearest of a clustered memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from counterpoint.data.batch import Batch, Inputs
from counterpoint.data.dataset import Dataset
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.heads import projection
from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.engine.ranks import gather_rows, gathered_rows, is_distributed
from counterpoint.errors import SettingError
from counterpoint.methods.base import Codes, Fraction, Method, View
from counterpoint.objectives import functional as F
from counterpoint.objectives.beclr import Spread, collapse_monitor
from counterpoint.pairs.dyce import DyCE, Measure, Variant
from counterpoint.views import augment
from counterpoint.views.masked import HIDDEN, Masked

KINDS = ("prediction", "teacher", "student")
_MEMORY = "memories."
_GREY = 0.5


class BECLR(Method):
    """The student's prediction of one view nears the teacher's other view, and rows spread evenly.

    The last teacher's projections, student's predictions and student's projections are kept in
    three memories of balanced clusters. Once those are there, every row of a batch is followed by
    its nearest entries in its own cluster, which are constants: more positives than its own other
    view. A step: encode, store, enrich, loss, optimiser, momentum update. Incomplete batches are
    neither stored nor enriched. Several processes do as one would with the global batch. For tasks
    of few labels see `counterpoint.probes.few_shot`.

    Args:
        clusters: prototypes of each memory, 200 in the paper.
        room: entries of a cluster, about, 40 in the paper; a memory may hold an image many times.
        neighbours: entries that enrich each row; at most 3 to 10 in the paper.
        itself: whether a row may be its own neighbour, having been stored just before.
        enrich_from: share of training, in [0, 1], from which on batches are enriched; the paper
            waits for 60 of 400 epochs. 1 never enriches.
        recluster: epochs between two k-means of the memories.
        memory_momentum: of the prototypes; 0 takes the mean of their entries.
        epsilon: of the balanced assignment to clusters.
        measure: ``"euclidean"`` or ``"cosine"``, of a row to a prototype.
        variant: of the memories: ``"paper"``; ``"released"`` prefers the farthest prototype and
            fetches other entries than it found, as the authors' code does.
        temperature: of the spreading.
        uniformity: weight of the spreading.
        spread: rows that are spread, of each view from student or teacher: ``"SS"``, ``"ST"``,
            ``"TT"``.
        hide: share of blocks of an image that the student does not see, 0.15 in the paper; 0 shows
            it all.
        momentum: of the teacher at the start; it rises to 1 along a cosine.
        outputs: length of the embedding, 512 in the paper.
        hidden: units of the head's two hidden layers; None takes the encoder's width.

    Source: Poulakakis-Daktylidis and Jamali-Rad, BECLR: Batch Enhanced Contrastive Few-Shot
    Learning, ICLR 2024, arXiv 2402.02444.
    """

    modalities = ("images",)

    def __init__(
        self,
        encoder: Encoder,
        clusters: PositiveInt = 50,
        room: PositiveFloat = 20.0,
        neighbours: PositiveInt = 5,
        itself: bool = True,
        enrich_from: Fraction = 0.15,
        recluster: PositiveInt = 60,
        memory_momentum: Fraction = 0.0,
        epsilon: PositiveFloat = 0.05,
        measure: Measure = "euclidean",
        variant: Variant = "paper",
        temperature: PositiveFloat = 2.0,
        uniformity: NonNegativeFloat = 0.1,
        spread: Spread = "SS",
        hide: Fraction = 0.0,
        momentum: Fraction = 0.995,
        outputs: PositiveInt = 128,
        hidden: PositiveInt | None = None,
    ) -> None:
        super().__init__(encoder)
        if outputs < 4 or clusters < 2:
            raise SettingError(
                f"outputs must be at least 4 and clusters at least 2, got {outputs} and {clusters}."
            )
        self.head = projection(encoder.width, outputs, hidden=hidden, layers=3)
        self.head.append(nn.BatchNorm1d(outputs))
        self.predictor = projection(outputs, outputs, hidden=outputs // 4)
        self.teacher = MomentumCopy(self._network(), momentum, "cosine")
        self.memories = nn.ModuleDict()
        self.new_memory = partial(
            DyCE,
            outputs,
            clusters=clusters,
            scale=room,
            neighbours=neighbours,
            itself=itself,
            momentum=memory_momentum,
            epsilon=epsilon,
            measure=measure,
            variant=variant,
        )
        self.contrasts = partial(
            F.beclr, temperature=temperature, uniformity=uniformity, spread=spread
        )
        self.enrich_from, self.recluster, self.hide = enrich_from, recluster, hide
        self.enriching = False

    def _network(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.head)

    def views(self, data: Dataset) -> Sequence[View]:
        view = augment(data)
        return [Masked(view, self.hide), Masked(view, self.hide)] if self.hide else [view, view]

    def begin_epoch(self, epoch: int, data: Dataset) -> None:
        if epoch and epoch % self.recluster == 0:
            for memory in self._all_memories():
                memory.cluster(across_ranks=is_distributed())

    def before_step(self, progress: float) -> None:
        self.enriching = progress >= self.enrich_from and self.enrich_from < 1

    def after_step(self, progress: float) -> None:
        self.teacher.update(self._network(), progress)

    def encode(self, batch: Batch) -> Codes:
        codes: dict[str, Tensor] = {}
        for number, view in enumerate(batch.views, 1):
            student = self.head(self.encoder(self._seen(view, batch, number)))
            codes |= {
                f"prediction{number}": self.predictor(student),
                f"teacher{number}": self.teacher(view),
                f"student{number}": student,
            }
        return codes

    def _seen(self, view: Inputs, batch: Batch, number: int) -> Inputs:
        """The view as the student sees it."""
        if not self.hide or not isinstance(view, Tensor):
            return view
        return view.masked_fill(batch.meta[number - 1][HIDDEN], _GREY)

    def contrast(self, codes: Codes, batch: Batch) -> dict[str, Tensor]:
        rows = {kind: torch.cat([codes[f"{kind}1"], codes[f"{kind}2"]]) for kind in KINDS}
        spread = collapse_monitor(rows["teacher"])
        if self.training:
            rows = self._enriched(rows)
        loss = self.contrasts(*(_of_all_processes(rows[kind]) for kind in KINDS))
        added = len(rows["teacher"]) / (2 * len(batch)) - 1
        return {"loss": loss, "spread": spread, "neighbours": loss.new_tensor(added)}

    def _enriched(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Stores the rows, and gives them their neighbours if it is time and all have clusters."""
        ranks = is_distributed()
        if not self.memories:
            self._make_memories(len(gather_rows(rows["teacher"])), rows["teacher"].device)
        memories = dict(zip(KINDS, self._all_memories(), strict=True))
        stored = [memories[kind].update(rows[kind], 2, across_ranks=ranks) for kind in KINDS]
        if not (self.enriching and all(stored) and all(m.ready for m in memories.values())):
            return rows
        return {kind: memories[kind].enrich(rows[kind], across_ranks=ranks) for kind in KINDS}

    def _all_memories(self) -> list[DyCE]:
        return [memory for memory in self.memories.values() if isinstance(memory, DyCE)]

    def _make_memories(self, rows: int, device: torch.device) -> None:
        for kind in KINDS:
            self.memories[kind] = self.new_memory(rows).to(device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], *args: Any) -> None:
        """Saved memories say for how many rows a step they are; they come with the first step."""
        slots = state_dict.get(f"{args[0]}{_MEMORY}{KINDS[0]}.slots")
        if slots is not None and not self.memories:
            self._make_memories(len(slots), next(self.parameters()).device)
        super()._load_from_state_dict(state_dict, *args)


def _of_all_processes(rows: Tensor) -> Tensor:
    """The rows of view 1 of all processes, then those of view 2: they spread among each other."""
    return torch.cat([gathered_rows(view) for view in rows.chunk(2)])
