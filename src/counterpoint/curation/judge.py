"""All parts together: from embeddings and labels to credibility and corrections."""

from __future__ import annotations

from collections.abc import Callable
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
    undecidable,
)
from counterpoint.curation.duplicates import Conflict, conflicts
from counterpoint.curation.neighbour_search import slices
from counterpoint.curation.soft_labels import bandwidth, kernel_density, soft_targets
from counterpoint.curation.wrong_labels import (
    flag,
    given_margins,
    habits,
    noise_share,
    probability_wrong,
)
from counterpoint.data.stored_rows import StoredRows
from counterpoint.errors import DataError, SettingError
from counterpoint.probes.inputs import Floats, Ints, class_labels, features
from counterpoint.probes.neighbours import neighbours
from counterpoint.progress import OnProgress, Progress
from counterpoint.threads import one_thread

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Rows = Floats | StoredRows
SMALLEST = 1e-9
FEWEST_ROWS = 10
LEARNT_ROWS = 100_000


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
        _check_enough(y, len(first))
        rows = every[first]
        mean, z = rows.mean(axis=0), centred(rows)
        if on_progress is not None:
            on_progress(Progress("find the neighbours", 0, 1))
        near = nearest(z, self.neighbours)
        if on_progress is not None:
            on_progress(Progress("find the neighbours", 1, 1))
        return self._judged(z, mean, near, np.asarray(z.any(axis=1)), y, group, on_progress)

    def judge_stored(
        self,
        rows: StoredRows,
        mean: Floats,
        find: Callable[[int], Neighbours],
        labels: Ints,
        group: Ints,
        on_progress: OnProgress | None = None,
    ) -> Judgement:
        """As `judge`, with the contents on disk and probabilities in float32.

        Beyond 100,000 contents the corrector learns from that many, drawn at random; every content
        is still judged by networks that have not learnt from it.

        Args:
            rows: different contents, `centred`, ``(G, D)``.
            mean: what was taken off ``(D,)``.
            find: finds the given number of neighbours of each content.
            labels: int64 ``(N,)``, 0, 1, 2, ...
            group: content of each row, int64 ``(N,)``.
            on_progress: told how far it is.

        Raises:
            DataError: one class, or fewer than 10 different rows.
        """
        _check_enough(labels, len(rows))
        there = np.concatenate([rows[part].any(axis=1) for part in slices(len(rows))])
        near = find(min(self.neighbours, len(rows) - 1))
        return self._judged(rows, mean, near, there, labels, group, on_progress)

    def _judged(
        self,
        z: Rows,
        mean: Floats,
        near: Neighbours,
        there: Flags,
        y: Ints,
        group: Ints,
        on_progress: OnProgress | None,
    ) -> Judgement:
        said: Floats = np.zeros((len(z), int(y.max()) + 1), dtype=z.dtype)
        np.add.at(said, (group, y), 1)
        said /= said.sum(axis=1, keepdims=True)
        votes = np.empty_like(said)
        for part in slices(len(z)):
            votes[part] = label_shares(near[part], said, temperature=self.temperature)
        networks, plain = None, votes
        if self.network:
            networks, plain = self._corrected(z, said, near, votes, on_progress)
            if self.votes:
                plain += votes
                plain /= 2
        probabilities, heat = temperature_scaled(plain[group], y)
        del plain
        blind = undecidable(there[group][:, None], y)
        return Judgement(
            **self._concluded(probabilities, blind, y, group),
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

    def _concluded(
        self, probabilities: Floats, blind: Flags, y: Ints, group: Ints
    ) -> dict[str, Any]:
        """What follows from calibrated probabilities ``(N, C)``."""
        share = noise_share(probabilities, y)
        habit = habits(probabilities, y)
        wrong = probability_wrong(probabilities, y, share, habit)
        margins = given_margins(probabilities, y, habit)
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
            "habits": habit,
            "undecidable": blind,
            "rare": rare,
            "twins": twins,
        }

    def _corrected(
        self,
        z: Rows,
        said: Floats,
        near: Neighbours,
        votes: Floats,
        on_progress: OnProgress | None,
    ) -> tuple[Networks, Floats]:
        given = said.argmax(axis=1)
        folds = min(self.folds, len(z))
        fold = stratified_folds(given, folds, self.seed)
        learnt = _learnt(len(z), self.seed)
        targets = np.broadcast_to(said[learnt], (folds, len(learnt), said.shape[1]))
        if self.soft:
            held_out = (fold == held for held in range(folds))
            targets = np.stack([self._softened(near, said, held, learnt) for held in held_out])
        trust = credibility(votes[learnt], given[learnt])
        judged = np.empty_like(said)
        with one_thread():
            networks = self.corrector.fit(
                z[learnt],
                targets,
                fold[learnt],
                given[learnt],
                trust,
                seed=self.seed,
                on_progress=on_progress,
            )
            for part in slices(len(z)):
                judged[part] = networks.held_out(z[part], fold[part])
        return networks, judged

    def _softened(self, near: Neighbours, said: Floats, held: Flags, rows: Ints) -> Floats:
        """Soft targets of some rows that no label of the held-out rows has touched."""
        near, own = near[rows], said[rows]
        votes = label_shares(near, said, temperature=self.temperature, without=held)
        density = kernel_density(near, said, bandwidth(near), without=held)
        return soft_targets(own, density, credibility(votes, own.argmax(axis=1)))


@dataclass(frozen=True)
class Judgement:
    """What is known of N labels.

    Attributes:
        labels: as given, int64 ``(N,)``.
        probabilities: calibrated class probabilities ``(N, C)``, by judges that have not seen the
            row's own label.
        credibility: estimated probability that the label is right ``(N,)``.
        margin: log-probability of the label minus that of the best other one, which `habits` raise
            ``(N,)``.
        flagged: bool ``(N,)``.
        noise_share: estimated share of wrong labels.
        habits: how much more often than chance explains class a is labelled b, as a logarithm
            ``(C, C)``.
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
    habits: Floats
    undecidable: Flags
    rare: Flags
    twins: Conflict
    group: Ints
    near: Neighbours
    votes: Floats
    said: Floats
    _rows: Rows
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
        concluded = self._judge._concluded(probabilities, self.undecidable, self.labels, self.group)
        return replace(self, **concluded)

    def predict(self, embeddings: Any) -> Floats:
        """Calibrated class probabilities ``(M, C)`` of new rows ``(M, D)``, by the frozen parts."""
        z = centred(embeddings, self._mean)
        parts = []
        if self._judge.votes:
            k = min(self._judge.neighbours, len(self._rows))
            similarity, index = neighbours(z, self._rows[:], k)
            near = Neighbours(similarity.astype(np.float64), index)
            parts.append(label_shares(near, self.said, temperature=self._judge.temperature))
        if self._networks is not None:
            parts.append(self._networks.predict(z))
        return scaled(np.log(np.mean(parts, axis=0) + SMALLEST), self._heat)

    def _others(self) -> Floats:
        others = self.probabilities.copy()
        others[np.arange(len(self.labels)), self.labels] = 0.0
        return others


def _check_enough(y: Ints, contents: int) -> None:
    if (y == y[0]).all():
        raise DataError("All labels are the same class; there is nothing to compare.")
    if contents < FEWEST_ROWS:
        raise DataError(
            f"{contents} different rows are too few to judge labels by each other; at least "
            f"{FEWEST_ROWS} are needed."
        )


def _learnt(count: int, seed: int) -> Ints:
    """The rows that the corrector learns from."""
    if count <= LEARNT_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, LEARNT_ROWS, replace=False))


def _equal_rows(z: Floats) -> Ints:
    group = np.unique(z, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.full(int(group.max()) + 1, len(z))
    np.minimum.at(order, group, np.arange(len(z)))
    return np.argsort(np.argsort(order))[group]
