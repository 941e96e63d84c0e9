"""Rows that carry any number of classes: which of them are wrong, and which are missing.

Source: the votes and the corrector of `counterpoint.curation.judge`, one question a class; wrong
and missing labels by Bayes' rule for noise that depends on the class alone, as in Natarajan et al.,
"Learning with Noisy Labels", NeurIPS 2013, lemma 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from counterpoint.curation.corrector import stratified_folds
from counterpoint.curation.credibility import Neighbours, centred, nearest, summed
from counterpoint.curation.judge import FEWEST_ROWS, Flags, Judge
from counterpoint.curation.wrong_labels import FEWEST_SURE, SUREST, flag
from counterpoint.errors import DataError, SettingError
from counterpoint.probes.inputs import Floats, Ints, features
from counterpoint.progress import OnProgress
from counterpoint.threads import one_thread

EASY = 0.25
FEWEST_EASY = 100
LARGEST_RATE = 0.9
LEAST = 1e-6
BEST = 0.5


@dataclass(frozen=True)
class Rates:
    """How often labels are wrong.

    Attributes:
        missing: share of the rows that truly carry a class and are not marked with it ``(C,)``.
        extra: share of the rows that do not carry it and are marked with it ``(C,)``.
    """

    missing: Floats
    extra: Floats

    @classmethod
    def estimated(cls, probabilities: Floats, marks: Flags) -> Rates:
        """By how often marks differ where the judges are surest, without clean data.

        Of the ``sum_i p_i`` rows expected to be marked with a class, the surest 20 % (at least 5)
        are taken to carry it; of all rows, the least sure half is taken not to. The first share is
        too high where a class is hard to tell, so one is used for all: that of the easiest classes
        (the most probable among their surest rows) that hold a quarter of the surest rows of all
        classes together, and at least 100.

        Args:
            probabilities: of being marked ``(N, C)``, by judges that have not seen the row.
            marks: bool ``(N, C)``.
        """
        order = np.argsort(-probabilities, axis=0, kind="stable")
        falling = np.take_along_axis(marks, order, axis=0)
        sure = np.maximum(FEWEST_SURE, np.rint(SUREST * probabilities.sum(axis=0))).astype(int)
        sure = np.minimum(sure, len(marks))
        last = np.take_along_axis(probabilities, order, axis=0).cumsum(axis=0)
        ease = last[sure - 1, np.arange(len(sure))] / sure
        easiest = np.argsort(-ease, kind="stable")
        held = sure[easiest].cumsum()
        enough = max(FEWEST_EASY, EASY * held[-1])
        chosen = easiest[: int(np.searchsorted(held, enough)) + 1]
        there = sum(int(falling[: sure[c], c].sum()) for c in chosen.tolist())
        easy = min(1 - there / int(sure[chosen].sum()), LARGEST_RATE)
        extra = falling[len(marks) // 2 :].mean(axis=0)
        room = np.maximum(1 - easy - LEAST, 0)
        return cls(np.full(marks.shape[1], easy), np.minimum(extra, room / 2))


@dataclass(frozen=True)
class MarksJudgement:
    """What is known of ``(N, C)`` marks.

    Attributes:
        marks: as given, bool ``(N, C)``.
        probabilities: that a row truly carries a class ``(N, C)``, by judges that have not seen its
            own marks.
        wrong: probability that a mark, or its absence, is wrong ``(N, C)``.
        flagged: bool ``(N, C)``.
        rates: estimated rates of missing and extra marks.
        rare: bool ``(C,)``, classes with too few marks to be judged.
        group: number of each row's content ``(N,)``.
        near: neighbours of the contents, in numbers of contents.
        said: share of the rows of each content that carry a class ``(G, C)``.
    """

    marks: Flags
    probabilities: Floats
    wrong: Floats
    flagged: Flags
    rates: Rates
    rare: Flags
    group: Ints
    near: Neighbours
    said: Floats

    @property
    def credibility(self) -> Floats:
        """Probability that a row's least credible label, or missing label, is right ``(N,)``."""
        trust: Floats = 1 - self.wrong.max(axis=1)
        return trust

    @property
    def suggested(self) -> Flags:
        """The marks, the flagged ones turned."""
        return self.marks ^ self.flagged

    @property
    def best(self) -> Flags:
        """The likelier answer of every row and class, flagged or not; rare classes as given."""
        return np.where(self.rare, self.marks, self.probabilities > BEST)

    @property
    def conflicting(self) -> Flags:
        """bool ``(N,)``: rows whose content carries other labels in another row."""
        split = (self.said > 0) & (self.said < 1)
        return np.asarray(split.any(axis=1))[self.group]

    @property
    def confidence(self) -> Floats:
        """Probability that the least sure of a row's suggested labels is right ``(N,)``."""
        right = np.where(self.flagged, self.wrong, 1 - self.wrong)
        least: Floats = right.min(axis=1)
        return least


def judge_marks(
    judge: Judge,
    embeddings: Any,
    marks: Flags,
    group: Ints,
    on_progress: OnProgress | None = None,
) -> MarksJudgement:
    """Judges every mark, and every absence of one, by what its own row had no part in.

    Rows of equal content that are marked differently are flagged where most of the others, or half
    of them and the judges, say otherwise.

    With ``p`` the probability that a row is marked with a class, and the rates ``m`` of missing
    and ``e`` of extra marks, ``q = (p - e) / (1 - m - e)`` is the probability that it carries the
    class; a mark is wrong with ``e (1 - q) / p``, an absence with ``m q / (1 - p)``.

    Args:
        judge: settings; ``soft`` and the corrector's ``beta`` need one class a row and stay off.
        embeddings: ``(N, D)``, finite.
        marks: bool ``(N, C)``, which row carries which class.
        group: int64 ``(N,)``, equal for rows of equal content, from 0 without gaps; they are one
            row here, marked by their shares.
        on_progress: told how far it is.

    Raises:
        DataError: embeddings that do not fit, no mark, or fewer than 10 different rows.
        SettingError: parts that need one class a row.
    """
    if judge.soft or judge.corrector.beta:
        raise SettingError("soft and beta need one class a row; leave them off for several labels.")
    every = features(embeddings, "embeddings")
    first = np.unique(group, return_index=True)[1]
    if not marks.any() or marks.all():
        raise DataError("No row carries a label, or every row carries all: nothing to compare.")
    if len(first) < FEWEST_ROWS:
        raise DataError(
            f"{len(first)} different rows are too few to judge labels by each other; at least "
            f"{FEWEST_ROWS} are needed."
        )
    size = np.bincount(group)
    said = np.zeros((len(first), marks.shape[1]))
    np.add.at(said, group, marks)
    said /= size[:, None]
    z = centred(every[first])
    near = nearest(z, judge.neighbours)
    parts = [_votes(near, said, judge.temperature)] if judge.votes else []
    if judge.network:
        parts.append(_corrected(judge, z, said, on_progress))
    marked = np.mean(parts, axis=0)[group].clip(LEAST, 1 - LEAST)
    return _concluded(judge, marked, marks, group, near, said)


def _votes(near: Neighbours, said: Floats, temperature: float) -> Floats:
    weight = np.exp((near.similarity - near.similarity[:, :1]) / temperature)
    share: Floats = summed(weight, near.index, said) / weight.sum(axis=1, keepdims=True)
    return share


def _corrected(judge: Judge, z: Floats, said: Floats, on_progress: OnProgress | None) -> Floats:
    rarest = np.where(said > 0, said.sum(axis=0), np.inf).argmin(axis=1)
    folds = min(judge.folds, len(z))
    fold = stratified_folds(rarest, folds, judge.seed)
    with one_thread():
        networks = replace(judge.corrector, beta=0.0).fit(
            z,
            np.broadcast_to(said, (folds, *said.shape)),
            fold,
            rarest,
            np.ones(len(z)),
            independent=True,
            seed=judge.seed,
            on_progress=on_progress,
        )
        return networks.held_out(z, fold)


def _concluded(
    judge: Judge, marked: Floats, marks: Flags, group: Ints, near: Neighbours, said: Floats
) -> MarksJudgement:
    rates = Rates.estimated(marked, marks)
    missing, extra = rates.missing, rates.extra
    q = ((marked - extra) / (1 - missing - extra)).clip(LEAST, 1 - LEAST)
    p = (1 - missing) * q + extra * (1 - q)
    wrong = np.where(marks, extra * (1 - q) / p, missing * q / (1 - p))
    rare = marks.sum(axis=0) < judge.smallest
    wrong[:, rare] = np.where(marks, extra, missing * marks.mean(axis=0))[:, rare]
    agree = np.where(marks, said[group], 1 - said[group])
    flagged = flag(np.where(rare, 0.0, wrong).ravel(), -wrong.ravel()).reshape(wrong.shape)
    flagged |= (agree < BEST) | ((agree == BEST) & (marks != (q > BEST)))
    wrong = np.maximum(wrong, 1 - agree)
    return MarksJudgement(
        marks=marks,
        probabilities=q,
        wrong=wrong,
        flagged=flagged,
        rates=rates,
        rare=rare,
        group=group,
        near=near,
        said=said,
    )
