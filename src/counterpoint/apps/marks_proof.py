"""How well wrong and missing labels were found, where a row may carry any number of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from counterpoint.apps.label_proof import KNN, SEED, TEST_SHARE, measure
from counterpoint.curation.credibility import centred, nearest, summed
from counterpoint.curation.judge import Flags
from counterpoint.curation.multi_label import BEST, MarksJudgement
from counterpoint.errors import MissingExtraError, require
from counterpoint.probes.inputs import Floats, features
from counterpoint.probes.scaling import unit_length
from counterpoint.progress import OnProgress, Progress
from counterpoint.threads import one_library_thread

MOST_CLASSES = 100
FOLDS = 5


def prove(
    judgement: MarksJudgement,
    truth: Flags,
    embeddings: Any,
    corrected: Flags,
    kept: Flags,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Detection and correction of each mark, detection of rows, downstream gain.

    Args:
        judgement: of ``(N, C)`` marks.
        truth: bool ``(N, C)``.
        embeddings: ``(N, D)``.
        corrected: marks after the policy "gated", bool ``(N, C)``.
        kept: bool ``(N,)``, rows that the policy "drop" keeps.
        on_progress: told how far it is.

    Returns:
        As `counterpoint.apps.label_proof.prove`, each mark and each absence counted as a label;
        methods also have ``rows``: AUROC and average precision of finding rows with any mistake.
        ``downstream`` holds micro F1 instead of accuracy.
    """
    marks = judgement.marks
    wrong = marks != truth
    result: dict[str, Any] = {
        "rows": len(marks),
        "wrong": int(wrong.sum()),
        "wrong_rows": int(wrong.any(axis=1).sum()),
    }
    if not wrong.any() or wrong.any(axis=1).all():
        result["note"] = "All labels agree with the truth, or no row does: nothing to measure."
        return result
    z = features(embeddings, "embeddings")
    steps = ("plain kNN", "cleanlab", "downstream", "")

    def tell(done: int) -> None:
        if on_progress is not None:
            on_progress(Progress("prove", done, len(steps) - 1, steps[done]))

    tell(0)
    own = _measured(judgement.wrong, judgement.flagged, judgement.best, marks, truth)
    methods = {"counterpoint": own, "kNN": _plain_knn(z, marks, truth)}
    tell(1)
    try:
        if marks.shape[1] > MOST_CLASSES:
            result["note"] = f"Not compared with cleanlab: more than {MOST_CLASSES} classes."
        else:
            methods["cleanlab"] = _confident_learning(z, marks, truth)
    except MissingExtraError as missing:
        result["note"] = f"Not compared with cleanlab: {missing}"
    tell(2)
    result["methods"] = methods
    result["corrections"] = {
        "changed": int((corrected != marks).sum()),
        "fixed": int((wrong & (corrected == truth)).sum()),
        "broken": int((~wrong & (corrected != truth)).sum()),
    }
    result["downstream"] = _downstream(z, truth, {"raw": marks, "corrected": corrected}, kept)
    tell(3)
    return result


def _measured(
    wrong: Floats, flagged: Flags, best: Flags, marks: Flags, truth: Flags, rows: Any = None
) -> dict[str, Any]:
    metrics = require("sklearn.metrics", "probe")
    found = measure(
        -wrong.ravel(),
        flagged.ravel(),
        best.ravel().astype(int),
        marks.ravel().astype(int),
        truth.ravel().astype(int),
    )
    bad = (marks != truth).any(axis=1)
    score = wrong.max(axis=1) if rows is None else rows
    return found | {
        "rows": {
            "auroc": float(metrics.roc_auc_score(bad, score)),
            "average_precision": float(metrics.average_precision_score(bad, score)),
        }
    }


def _plain_knn(z: Floats, marks: Flags, truth: Flags) -> dict[str, Any]:
    """Votes of the 20 nearest rows; flagged where most of them say otherwise."""
    near = nearest(centred(z), KNN)
    weight = np.ones_like(near.similarity)
    votes = summed(weight, near.index, marks.astype(np.float64)) / weight.shape[1]
    wrong = np.where(marks, 1 - votes, votes)
    return _measured(wrong, wrong > BEST, votes > BEST, marks, truth)


def _confident_learning(z: Floats, marks: Flags, truth: Flags) -> dict[str, Any]:
    """cleanlab with its defaults, on 5-fold cross-validated logistic regressions, one a class.

    Raises:
        MissingExtraError: cleanlab is not installed.
    """
    filters = require("cleanlab.multilabel_classification.filter", "peers")
    rank = require("cleanlab.multilabel_classification.rank", "peers")
    multiclass = require("sklearn.multiclass", "probe")
    linear = require("sklearn.linear_model", "probe")
    selection = require("sklearn.model_selection", "probe")
    x = unit_length(z).astype(np.float32)
    model = multiclass.OneVsRestClassifier(linear.LogisticRegression(max_iter=200))
    folds = selection.KFold(FOLDS, shuffle=True, random_state=SEED)
    lists = [np.flatnonzero(row).tolist() for row in marks]
    with warnings.catch_warnings(), one_library_thread():
        warnings.simplefilter("ignore", UserWarning)  # a class that a fold does not have
        p = selection.cross_val_predict(
            model, x, marks.astype(int), cv=folds, method="predict_proba"
        )
        each = rank.get_label_quality_scores_per_class(lists, p)
        rows = rank.get_label_quality_scores(lists, p)
        issues = filters.find_multilabel_issues_per_class(lists, p)
    return _measured(1 - each, np.asarray(issues, dtype=bool), p > BEST, marks, truth, 1 - rows)


def _downstream(z: Floats, truth: Flags, labels: dict[str, Flags], kept: Flags) -> dict[str, float]:
    """Micro F1 on clean held-out rows of one ridge classifier, see `label_proof.downstream`."""
    ridge = require("sklearn.linear_model", "probe").RidgeClassifier
    f1_score = require("sklearn.metrics", "probe").f1_score
    held = np.random.default_rng(SEED).random(len(truth)) < TEST_SHARE
    x = unit_length(z)

    def micro_f1(marks: Flags, rows: Flags) -> float:
        with one_library_thread():
            said = ridge().fit(x[rows], marks[rows].astype(int)).predict(x[held])
        return float(f1_score(truth[held].ravel(), np.reshape(said, -1)))

    found = {name: micro_f1(marks, ~held) for name, marks in labels.items()}
    return found | {
        "dropped": micro_f1(labels["raw"], ~held & kept),
        "true": micro_f1(truth, ~held),
    }
