"""All parts together: from embeddings and labels to credibility and corrections."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from counterpoint.curation.calibration import scaled, temperature_scaled
from counterpoint.curation.corrector import Corrector, Networks, stratified_folds
from counterpoint.curation.credibility import (
    Neighbours,
    centred,
    credibility,
    label_shares,
    nearest,
    on_simplex,
    undecidable,
)
from counterpoint.curation.duplicates import Conflict, conflicts
from counterpoint.curation.soft_labels import bandwidth, kernel_density, soft_targets
from counterpoint.curation.threads import one_thread
from counterpoint.curation.wrong_labels import flag, log_margins, noise_share, probability_wrong
from counterpoint.errors import DataError, SettingError
from counterpoint.probes.inputs import Floats, Ints, class_labels, features
from counterpoint.probes.neighbours import neighbours
from counterpoint.progress import OnProgress, Progress

Flags = np.ndarray[Any, np.dtype[np.bool_]]
SMALLEST = 1e-9
FEWEST_ROWS = 10


@dataclass(frozen=True)
class Judge:
    """Which parts judge, and how.

    Args:
        neighbours: K, the neighbours that vote.
        temperature: of the votes, `label_shares`.
        votes: whether neighbours vote on the label.
        network: whether the corrector does; with both, their probabilities are averaged.
        soft: whether the corrector learns soft targets from the kernel density instead of the
            given labels.
        corrector: the network and its training.
        folds: F; fewer where the rows do not suffice.
        smallest: classes with fewer rows are never flagged by their neighbours.
        seed: seed of folds and training.
    """

    neighbours: int = 50
    temperature: float = 0.1
    votes: bool = True
    network: bool = True
    soft: bool = False
    corrector: Corrector = field(default_factory=Corrector)
    folds: int = 5
    smallest: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.votes or self.network):
            raise SettingError("Neither votes nor network may judge; leave one of them on.")
        if self.neighbours < 1 or self.folds < 2:
            raise SettingError(
                f"neighbours must be at least 1 and folds at least 2; got {self.neighbours} and "
                f"{self.folds}."
            )

    def judge(
        self,
        embeddings: Any,
        labels: Any,
        group: Ints | None = None,
        on_progress: OnProgress | None = None,
    ) -> Judgement:
        """Judges every label by what its own row had no part in.

        Rows of one group (equal content) are one row here, labelled by their shares, so that equal
        mistakes do not defend each other; afterwards each is judged by its own label.

        Args:
            embeddings: ``(N, D)``, finite.
            labels: int ``(N,)``, 0, 1, 2, ...
            group: int64 ``(N,)``, equal for rows of equal content, from 0 without gaps; None takes
                rows of exactly equal embeddings as equal.
            on_progress: told how far it is.

        Raises:
            DataError: embeddings or labels that do not fit, one class, fewer than 10 different
                rows.
        """
        every = features(embeddings, "embeddings")
        y = class_labels(labels, len(every), "labels")
        group = _equal_rows(every) if group is None else group
        first = np.unique(group, return_index=True)[1]
        classes = int(y.max()) + 1
        if (y == y[0]).all():
            raise DataError("All labels are the same class; there is nothing to compare.")
        if len(first) < FEWEST_ROWS:
            raise DataError(
                f"{len(first)} different rows are too few to judge labels by each other; at least "
                f"{FEWEST_ROWS} are needed."
            )
        said = np.zeros((len(first), classes))
        np.add.at(said, (group, y), 1.0)
        return self._judged(every[first], on_simplex(said), y, group, on_progress)

    def _judged(
        self, rows: Floats, said: Floats, y: Ints, group: Ints, on_progress: OnProgress | None
    ) -> Judgement:
        mean = rows.mean(axis=0)
        z = centred(rows)
        if on_progress is not None:
            on_progress(Progress("find the neighbours", 0, 1))
        near = nearest(z, self.neighbours)
        if on_progress is not None:
            on_progress(Progress("find the neighbours", 1, 1))
        votes = label_shares(near, said, temperature=self.temperature)
        networks = None
        if self.network:
            networks, judged = self._corrected(z, said, near, votes, on_progress)
            plain = (votes + judged) / 2 if self.votes else judged
        else:
            plain = votes
        probabilities, heat = temperature_scaled(plain[group], y)
        return Judgement(
            **self._concluded(probabilities, z, y, group),
            labels=y,
            group=group,
            near=near,
            votes=votes,
            said=said,
            _rows=z,
            _mean=mean,
            _networks=networks,
            _judge=self,
            _heat=heat,
        )

    def _concluded(self, probabilities: Floats, z: Floats, y: Ints, group: Ints) -> dict[str, Any]:
        """What follows from calibrated probabilities ``(N, C)``."""
        share = noise_share(probabilities, y)
        wrong = probability_wrong(probabilities, y, share)
        margins = log_margins(probabilities)[np.arange(len(y)), y]
        blind = undecidable(z[group], y)
        wrong[blind] = share
        rare = np.bincount(y)[y] < self.smallest
        flagged = flag(np.where(blind | rare, 0.0, wrong), margins)
        twins = conflicts(group, y, probabilities[np.arange(len(y)), y])
        flagged = np.where(twins.conflicting, ~twins.stands | flagged, flagged)
        trust = np.minimum(1 - wrong, np.where(twins.conflicting, twins.share, 1.0))
        return {
            "probabilities": probabilities,
            "credibility": trust,
            "margin": margins,
            "flagged": flagged,
            "noise_share": share,
            "undecidable": blind,
            "rare": rare,
            "twins": twins,
        }

    def _corrected(
        self,
        z: Floats,
        said: Floats,
        near: Neighbours,
        votes: Floats,
        on_progress: OnProgress | None,
    ) -> tuple[Networks, Floats]:
        given = said.argmax(axis=1)
        folds = min(self.folds, len(z))
        fold = stratified_folds(given, folds, self.seed)
        targets = np.broadcast_to(said, (folds, *said.shape))
        if self.soft:
            targets = np.stack([self._softened(near, said, fold == held) for held in range(folds)])
        trust = credibility(votes, given)
        with one_thread():
            networks = self.corrector.fit(
                z, targets, fold, given, trust, seed=self.seed, on_progress=on_progress
            )
            return networks, networks.held_out(z, fold)

    def _softened(self, near: Neighbours, said: Floats, held: Flags) -> Floats:
        """Soft targets that no label of the held-out rows has touched."""
        given = said.argmax(axis=1)
        votes = label_shares(near, said, temperature=self.temperature, without=held)
        density = kernel_density(near, said, bandwidth(near), without=held)
        return soft_targets(said, density, credibility(votes, given))


@dataclass(frozen=True)
class Judgement:
    """What is known of N labels.

    Attributes:
        labels: as given, int64 ``(N,)``.
        probabilities: calibrated class probabilities ``(N, C)``, by judges that have not seen the
            row's own label.
        credibility: estimated probability that the label is right ``(N,)``.
        margin: log-probability of the label minus that of the best other one ``(N,)``.
        flagged: bool ``(N,)``.
        noise_share: estimated share of wrong labels.
        undecidable: bool ``(N,)``, rows that nothing can be said of.
        rare: bool ``(N,)``, rows of classes too small to be flagged by neighbours.
        twins: equal content with different labels.
        group: number of each row's content ``(N,)``.
        near: neighbours of the contents, in numbers of contents.
        votes: neighbours' votes on each content.
        said: labels of each content, as shares.
    """

    labels: Ints
    probabilities: Floats
    credibility: Floats
    margin: Floats
    flagged: Flags
    noise_share: float
    undecidable: Flags
    rare: Flags
    twins: Conflict
    group: Ints
    near: Neighbours
    votes: Floats
    said: Floats
    _rows: Floats
    _mean: Floats
    _networks: Networks | None
    _judge: Judge
    _heat: float

    @property
    def best(self) -> Ints:
        """The most probable label of every row, flagged or not."""
        label: Ints = self.probabilities.argmax(axis=1)
        return label

    @property
    def suggested(self) -> Ints:
        """The given label, and where it is flagged the most probable other one."""
        others = self._others()
        alternative = others.argmax(axis=1)
        twin = self.twins.conflicting & ~self.twins.stands
        alternative = np.where(twin, self.standing, alternative)
        return np.where(self.flagged, alternative, self.labels)

    @property
    def standing(self) -> Ints:
        """The label that stands in each row's group of equal content."""
        label = np.zeros(int(self.group.max()) + 1, dtype=np.int64)
        label[self.group[self.twins.stands]] = self.labels[self.twins.stands]
        return label[self.group]

    @property
    def confidence(self) -> Floats:
        """Estimated probability that the suggested label is right ``(N,)``.

        Where it is the given one, its credibility; else ``P(wrong) p(c) / (1 - p(given))``.
        """
        rows = np.arange(len(self.labels))
        others = self._others()
        part = others[rows, self.suggested] / np.maximum(others.sum(axis=1), SMALLEST)
        changed = self.suggested != self.labels
        return np.where(changed, (1 - self.credibility) * part, self.credibility)

    def joined(self, further: Floats, weight: float = 2 / 3) -> Judgement:
        """``(1 - weight) p + weight * further``, calibrated anew, and all that follows from it.

        Args:
            further: calibrated class probabilities ``(G, C)`` of each content, by a judge that has
                not seen its labels.
            weight: of that judge, in [0, 1].
        """
        mean = (1 - weight) * self.probabilities + weight * further[self.group]
        probabilities, _ = temperature_scaled(mean, self.labels)
        concluded = self._judge._concluded(probabilities, self._rows, self.labels, self.group)
        return replace(self, **concluded)

    def predict(self, embeddings: Any) -> Floats:
        """Calibrated class probabilities ``(M, C)`` of new rows ``(M, D)``, by the frozen parts."""
        z = centred(embeddings, self._mean)
        parts = []
        if self._judge.votes:
            k = min(self._judge.neighbours, len(self._rows))
            similarity, index = neighbours(z, self._rows, k)
            near = Neighbours(similarity.astype(np.float64), index)
            parts.append(label_shares(near, self.said, temperature=self._judge.temperature))
        if self._networks is not None:
            parts.append(self._networks.predict(z))
        return scaled(np.log(np.mean(parts, axis=0) + SMALLEST), self._heat)

    def _others(self) -> Floats:
        others = self.probabilities.copy()
        others[np.arange(len(self.labels)), self.labels] = 0.0
        return others


def _equal_rows(z: Floats) -> Ints:
    group = np.unique(z, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.full(int(group.max()) + 1, len(z))
    np.minimum.at(order, group, np.arange(len(z)))
    return np.argsort(np.argsort(order))[group]
