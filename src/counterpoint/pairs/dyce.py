"""DyCE: a memory in balanced clusters, from which every embedding takes its nearest entries."""

from __future__ import annotations

import math
import warnings
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from counterpoint.engine.checks import prepare
from counterpoint.engine.nearest import best_candidates, nearest_candidates
from counterpoint.engine.ranks import from_first_rank, gather_rows, rank, rows_by_rank
from counterpoint.engine.similarity import unit_rows
from counterpoint.errors import DataError, SettingError, require
from counterpoint.pairs.prototypes import class_means
from counterpoint.pairs.sinkhorn import balanced_assignment
from counterpoint.threads import one_library_thread

Variant = Literal["paper", "released"]
Measure = Literal["euclidean", "cosine"]

RESTARTS = 10
NOWHERE = -1


class DyCE(nn.Module):
    """Memory of the last embeddings in clusters of even size, and the neighbours it offers.

    Batches are stored as they are until the memory is full; k-means then gives prototypes and the
    cluster of every entry. From there on a batch goes to clusters by balanced assignment, takes the
    place of the oldest entries, and every prototype becomes
    ``(1 - m) mean of its entries + m prototype``; one without entries stays. The memory holds
    ``(floor(scale K / b) + 1) b + 1`` entries for batches of b rows, in whose last slot only the
    first row of every so many batches fits: the others of it are dropped.

    Everything is in buffers, so that ``state_dict`` resumes it. With several ranks every rank holds
    the same memory, of the rows of all ranks in the order of one process: view by view.

    Args:
        width: D of the embeddings.
        batch: rows of a batch of all ranks, all views counted; at least 2.
        clusters: K, at least 2.
        scale: entries of a cluster, about.
        neighbours: k, taken by every embedding.
        momentum: m of the prototypes, in [0, 1].
        epsilon: of the balanced assignment, above 0.
        iterations: of the balanced assignment.
        measure: of a row to a prototype, both of unit length: ``"euclidean"`` distance or
            ``"cosine"`` similarity.
        itself: whether a row may be its own neighbour, having been stored just before.
        variant: ``"paper"``; or ``"released"``, as the authors' code: by Euclidean distance the
            FARTHEST prototype is preferred, and the place of a neighbour within its cluster is
            taken for its place in the memory, so that other entries are fetched.
        seed: of k-means.

    Raises:
        SettingError: a setting out of range.

    Source: Poulakakis-Daktylidis and Jamali-Rad 2024, BECLR, ICLR 2024, arXiv 2402.02444,
    Section 3 and authors' code.
    """

    entries: Tensor
    labels: Tensor
    prototypes: Tensor
    pointer: Tensor
    fill: Tensor
    clustered: Tensor
    slots: Tensor

    def __init__(
        self,
        width: int,
        batch: int,
        *,
        clusters: int = 200,
        scale: float = 40,
        neighbours: int = 5,
        momentum: float = 0.0,
        epsilon: float = 0.05,
        iterations: int = 10,
        measure: Measure = "euclidean",
        itself: bool = True,
        variant: Variant = "paper",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if width < 1 or batch < 2 or clusters < 2 or neighbours < 1:
            raise SettingError(
                "Need width >= 1, batch >= 2, clusters >= 2 and neighbours >= 1, not "
                f"{width}, {batch}, {clusters}, {neighbours}."
            )
        if not 0 <= momentum <= 1:
            raise SettingError(f"momentum must be in [0, 1], not {momentum}.")
        if not epsilon > 0 or iterations < 1:
            raise SettingError(
                f"epsilon must be above 0 and iterations at least 1, not {epsilon}, {iterations}."
            )
        if measure not in get_args(Measure) or variant not in get_args(Variant):
            raise SettingError(
                f"measure must be one of {get_args(Measure)} and variant one of "
                f"{get_args(Variant)}, not {measure!r}, {variant!r}."
            )
        size = (math.floor(scale * clusters / batch) + 1) * batch + 1
        if not clusters + neighbours < size:
            raise SettingError(
                f"A memory of {size} entries is too small for {clusters} clusters and "
                f"{neighbours} neighbours; set scale higher."
            )
        self.batch, self.neighbours, self.momentum = batch, neighbours, momentum
        self.epsilon, self.iterations, self.measure = epsilon, iterations, measure
        self.itself, self.variant, self.seed = itself, variant, seed
        self.register_buffer("entries", unit_rows(torch.randn(size, width)))
        self.register_buffer("labels", torch.full((size,), NOWHERE))
        self.register_buffer("prototypes", torch.zeros(clusters, width))
        self.register_buffer("pointer", torch.tensor(0))
        self.register_buffer("fill", torch.tensor(0))
        self.register_buffer("clustered", torch.tensor(False))
        self.register_buffer("slots", torch.full((batch,), NOWHERE))

    def __len__(self) -> int:
        return int(self.fill)

    @property
    def size(self) -> int:
        """Entries held when full."""
        return len(self.entries)

    @property
    def ready(self) -> bool:
        """Whether there are clusters, hence neighbours."""
        return bool(self.clustered)

    @torch.no_grad()
    def update(self, z: Tensor, views: int = 1, across_ranks: bool = False) -> bool:
        """Stores a batch, and whether it was: an incomplete batch is not.

        Args:
            z: embeddings ``(b, D)``, as they are, view by view; of this rank's share.
            views: how many.
            across_ranks: every rank stores the rows of all ranks.

        Raises:
            DataError: embeddings that do not fit, NaN, infinity; rows that are no multiple of
                ``views``.
        """
        parts = _by_view(self._checked(z), views)
        everyone = torch.cat([gather_rows(part) if across_ranks else part for part in parts])
        if len(everyone) != self.batch:
            return False
        labels = self.assign(everyone) if self.ready else torch.full_like(self.slots, NOWHERE)
        start = int(self.pointer)
        kept = min(self.batch, self.size - start)
        self.entries[start : start + kept] = everyone[:kept]
        self.labels[start : start + kept] = labels[:kept]
        places = torch.arange(start, start + self.batch, device=self.slots.device)
        self.slots.copy_(places.where(places < self.size, NOWHERE))
        self.pointer.fill_((start + kept) % self.size)
        self.fill.copy_((self.fill + kept).clamp(max=self.size))
        if self.ready:
            means, counts = class_means(self.entries, self.labels, len(self.prototypes))
            moved = (1 - self.momentum) * means + self.momentum * self.prototypes
            self.prototypes.copy_(torch.where(counts[:, None] > 0, moved, self.prototypes))
        elif len(self) == self.size:
            self.cluster(across_ranks)
        return True

    @torch.no_grad()
    def assign(self, z: Tensor) -> Tensor:
        """Cluster of every row by balanced assignment, int64 ``(b,)``.

        Args:
            z: embeddings ``(b, D)``.
        """
        z, prototypes = unit_rows(self._checked(z)), unit_rows(self.prototypes)
        if self.measure == "cosine":
            scores = z @ prototypes.T
        else:
            gaps = torch.cdist(z, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
            scores = -gaps if self.variant == "paper" else gaps
        return balanced_assignment(scores, self.epsilon, self.iterations).argmax(1)

    @torch.no_grad()
    def cluster(self, across_ranks: bool = False) -> bool:
        """Prototypes and clusters of a full memory by k-means, and whether they are new.

        Nothing changes while the memory is not full, or where fewer than K clusters are found.
        """
        if len(self) < self.size:
            return False
        k_means = require("sklearn.cluster", "probe").KMeans
        with one_library_thread(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Number of distinct clusters")
            found = k_means(len(self.prototypes), n_init=RESTARTS, random_state=self.seed).fit(
                unit_rows(self.entries).cpu().numpy()
            )
        labels = torch.as_tensor(found.labels_).to(self.labels)
        centroids = torch.as_tensor(found.cluster_centers_).to(self.prototypes)
        if across_ranks:
            labels, centroids = from_first_rank(labels), from_first_rank(centroids)
        if len(torch.unique(labels)) < len(self.prototypes):
            return False
        self.labels.copy_(labels)
        self.prototypes.copy_(centroids)
        self.clustered.fill_(True)
        return True

    @torch.no_grad()
    def nearest(self, z: Tensor, views: int = 1, across_ranks: bool = False) -> Tensor:
        """The most similar entries of the cluster whose prototype is the most similar.

        A cluster of k or fewer entries is replaced by the whole memory.

        Args:
            z: embeddings ``(b, D)``; with ``itself=False`` those of the latest `update`.
            views: as in that `update`.
            across_ranks: likewise.

        Returns:
            Places in ``entries``, int64 ``(b, k)``.

        Raises:
            DataError: embeddings that do not fit; no clusters yet.
        """
        if not self.ready:
            raise DataError(
                f"The memory holds {len(self)} of {self.size} entries and has no clusters yet; "
                "ask `ready` before `nearest`."
            )
        z, entries = unit_rows(self._checked(z)), unit_rows(self.entries)
        clusters = best_candidates(z, unit_rows(self.prototypes))
        sizes = torch.bincount(self.labels, minlength=len(self.prototypes))
        whole = sizes[clusters] <= self.neighbours
        own = torch.full_like(clusters, NOWHERE)
        if not self.itself:
            own = self._own(z, views, across_ranks)

        def offered(i: Tensor, j: Tensor) -> Tensor:
            return ((self.labels[j] == clusters[i]) | whole[i]) & (j != own[i])

        places, _ = nearest_candidates(z, entries, self.neighbours, offered)
        if self.variant == "released":
            within = self._within(sizes)[places]
            places = torch.where(whole[:, None], places, within)
        return places

    def enrich(self, z: Tensor, views: int = 2, across_ranks: bool = False) -> Tensor:
        """Every view's rows, then k neighbours of its first row, of its second, and so on.

        Args:
            z: embeddings ``(views n, D)``, view by view. Their gradient passes; neighbours are
                constants.
            views: how many.
            across_ranks: as in the latest `update`.

        Returns:
            ``(views n (1 + k), D)``, view by view.

        Raises:
            DataError: as `nearest`; rows that are no multiple of ``views``.
        """
        parts = _by_view(z, views)
        found = self.entries[self.nearest(z, views, across_ranks)].flatten(0, 1).to(z.dtype)
        pairs = zip(parts, found.chunk(views), strict=True)
        return torch.cat([rows for part in pairs for rows in part])

    def _checked(self, z: Tensor) -> Tensor:
        ready, _ = prepare(False, z=z.detach(), memory=self.entries)
        return ready.to(self.entries.dtype)

    def _own(self, z: Tensor, views: int, across_ranks: bool) -> Tensor:
        """Slot of each row of the latest batch, -1 for those that were dropped."""
        count = len(z) // views
        start = sum(rows_by_rank(count, z.device)[: rank()]) if across_ranks else 0
        slots = _by_view(self.slots, views)
        own = torch.cat([part[start : start + count] for part in slots])
        if len(own) != len(z):
            raise DataError("With itself=False the rows must be those of the latest update.")
        return own

    def _within(self, sizes: Tensor) -> Tensor:
        """Place of every entry among those of its cluster ``(M,)``."""
        order = self.labels.argsort(stable=True)
        starts = (sizes.cumsum(0) - sizes)[self.labels[order]]
        within = torch.empty_like(order)
        within[order] = torch.arange(len(order), device=order.device) - starts
        return within

    def extra_repr(self) -> str:
        clusters, width = self.prototypes.shape
        return f"{width}, {self.batch}, clusters={clusters}, size={self.size}, k={self.neighbours}"


def _by_view(rows: Tensor, views: int) -> tuple[Tensor, ...]:
    if len(rows) % views:
        raise DataError(f"{len(rows)} rows are not those of {views} views.")
    return rows.chunk(views)
