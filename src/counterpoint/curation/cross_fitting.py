"""Cross-fitting within a time budget: every row judged by encoders that have not seen its label."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from counterpoint.curation.calibration import temperature_scaled
from counterpoint.curation.corrector import stratified_folds
from counterpoint.curation.fine_tuning import FineTuning, Lesson, OnStep, seconds_a_row
from counterpoint.curation.judge import FEWEST_ROWS, Flags, Judge
from counterpoint.curation.soft_labels import soft_targets
from counterpoint.data.finished import Finished
from counterpoint.encoders.base import Encoder
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.progress import OnProgress, Progress

FEWEST_FOLDS = 3
LEAST_EPOCHS = 1.0
ENOUGH_EPOCHS = 2.0
MOST_ROUNDS = 5
USED = 0.95
FORWARD = 1 / 3
"""Time of judging a row, in training steps of one row."""

NewEncoder = Callable[[], Encoder]


@dataclass(frozen=True)
class Plan:
    """What fits into the time.

    Args:
        rounds: how often all rows are judged, with other folds each time.
        folds: parts that take turns at being held out.
        epochs: passes of a network over the rows it learns from.
    """

    rounds: int
    folds: int
    epochs: float

    @classmethod
    def within(cls, passes: float, most_folds: int, most_epochs: int) -> Plan | None:
        """What to do with the time of ``passes`` training passes over all rows.

        As many folds as wanted if they leave two epochs, else three if they leave one, else None.
        What the epochs leave goes into further rounds.
        """
        for folds, least in ((most_folds, ENOUGH_EPOCHS), (FEWEST_FOLDS, LEAST_EPOCHS)):
            epochs = (passes - FORWARD) / (folds - 1)
            if epochs >= min(least, most_epochs):
                rounds = int(passes / ((folds - 1) * most_epochs + FORWARD))
                return cls(min(max(rounds, 1), MOST_ROUNDS), folds, min(epochs, most_epochs))
        return None


@dataclass(frozen=True)
class Contents:
    """What is judged: N different texts.

    Attributes:
        texts: N texts.
        z: frozen embeddings ``(N, D)``.
        said: labels as shares ``(N, C)``, rows on the simplex.
    """

    texts: Sequence[str]
    z: Floats
    said: Floats

    @property
    def given(self) -> Ints:
        """The label of each text."""
        label: Ints = self.said.argmax(axis=1)
        return label

    def of(self, rows: Flags) -> Contents:
        """Some of them."""
        texts = [self.texts[row] for row in np.flatnonzero(rows).tolist()]
        return Contents(texts, self.z[rows], self.said[rows])


@dataclass(frozen=True)
class CrossFitting:
    """Fine-tunes one encoder a fold, each on the rows of the other folds, round after round.

    Args:
        new_encoder: gives the untrained encoder, anew at each call.
        tuning: the training.
        judge: tells folds and seed, and softens targets: it judges the rows of the other folds by
            each other alone, so that no held-out label has a part in them.
        reduced: multiply in bfloat16.
    """

    new_encoder: NewEncoder
    tuning: FineTuning
    judge: Judge
    reduced: bool = False

    def fit(
        self,
        contents: Contents,
        seconds: float,
        finished: Finished | None = None,
        on_progress: OnProgress | None = None,
    ) -> tuple[Floats, Plan] | None:
        """Calibrated class probabilities ``(N, C)``, none of a network that has seen the label.

        The plan follows the measured time of a step; each fold ends within its part of what is
        left. The plan and each finished fold are kept with the time they took, which counts: a
        killed run goes on at the first fold that is missing.

        Args:
            contents: what is judged.
            seconds: time for all of it.
            finished: where folds are kept; None keeps nothing.
            on_progress: told how far it is, in seconds of the time given.

        Returns:
            None where the time, or the number of rows, does not suffice.
        """
        end = time.monotonic() + USED * seconds
        known = finished.settings() if finished is not None else None
        plan = Plan(**known) if known is not None else self._planned(contents, end)
        if plan is None:
            return None
        if finished is not None:
            finished.keep_settings(asdict(plan))
        units = plan.rounds * plan.folds
        parts = {} if finished is None else {n: finished.part(f"fold-{n}") for n in range(units)}
        done = {number: part for number, part in parts.items() if part is not None}
        end -= sum(float(part["seconds"]) for part in done.values())
        total = np.zeros_like(contents.said)
        for number in range(units):
            turn, held = divmod(number, plan.folds)
            rows = stratified_folds(contents.given, plan.folds, self.judge.seed + turn) == held
            if number in done:
                found = done[number]["probabilities"]
            else:
                start = time.monotonic()
                share = (end - start) / sum(later not in done for later in range(number, units))
                told = _telling(on_progress, number, units, seconds)
                found = self._held_out(contents, rows, plan, start + share, number, told)
                if finished is not None:
                    spent = time.monotonic() - start
                    finished.keep_part(f"fold-{number}", probabilities=found, seconds=spent)
            total[rows] += temperature_scaled(found, contents.given[rows])[0]
        return total / plan.rounds, plan

    def _planned(self, contents: Contents, end: float) -> Plan | None:
        count = len(contents.texts)
        if count < 2 * FEWEST_ROWS or time.monotonic() >= end:
            return None
        lesson = Lesson(contents.texts, contents.said, contents.z, contents.given, np.ones(count))
        cost = seconds_a_row(self.tuning, self.new_encoder(), lesson, self.reduced)
        folds = max(FEWEST_FOLDS, self.judge.folds)
        passes = (end - time.monotonic()) / (cost * count)
        return Plan.within(passes, folds, self.tuning.epochs)

    def _held_out(
        self,
        contents: Contents,
        held: Flags,
        plan: Plan,
        end: float,
        number: int,
        told: OnStep,
    ) -> Floats:
        lesson = self._lesson(contents.of(~held))
        judged = contents.of(held)
        judging = FORWARD * len(judged.texts) / (plan.epochs * len(lesson.texts))
        tuned = self.tuning.fit(
            self.new_encoder(),
            lesson,
            epochs=plan.epochs,
            seconds=max((end - time.monotonic()) / (1 + judging), 1.0),
            reduced=self.reduced,
            seed=self.judge.seed + number,
            on_step=told,
        )
        return tuned.probabilities(judged.texts)

    def _lesson(self, contents: Contents) -> Lesson:
        said, given = contents.said, contents.given
        targets, trust = said, np.ones(len(given))
        if len(np.unique(given)) > 1:
            judgement = self.judge.judge(contents.z, given, np.arange(len(given)))
            trust = judgement.credibility
            if self.tuning.soft:
                missing = said.shape[1] - judgement.probabilities.shape[1]
                density = np.pad(judgement.probabilities, ((0, 0), (0, missing)))
                targets = soft_targets(said, density, trust)
        return Lesson(contents.texts, targets, contents.z, given, trust)


def _telling(on_progress: OnProgress | None, number: int, units: int, seconds: float) -> OnStep:
    """Tells the share of one fold that is done as seconds of all the time."""

    def tell(done: float, loss: float) -> None:
        if on_progress is not None:
            passed = seconds * (number + done) / units
            note = f"fold {number + 1} of {units}, loss {loss:.2f}"
            on_progress(Progress("fine-tune", round(passed), round(seconds), note))

    return tell
