"""How well wrong labels were found and corrected, measured against the truth and against peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from counterpoint.apps.policies import applied
from counterpoint.curation.credibility import centred, label_shares, margin, nearest
from counterpoint.curation.judge import Judgement
from counterpoint.errors import MissingExtraError, require
from counterpoint.probes.inputs import Floats, Ints, features
from counterpoint.probes.scaling import unit_length
from counterpoint.progress import OnProgress, Progress
from counterpoint.threads import one_library_thread

PRECISION_AT = (10, 100)
KNN = 20
TEST_SHARE = 0.2
SEED = 0
BEYOND_MEMORY = (
    "Not compared with kNN and cleanlab, and no downstream gain: they need all embeddings in "
    "memory, which so many rows do not fit."
)


def add_proof(
    result: dict[str, Any],
    judgement: Judgement,
    truth: Ints,
    embeddings: Any,
    free: Any,
    on_progress: OnProgress | None = None,
) -> None:
    """Adds a `prove` to a result, or a note where the truth is missing in some rows.

    Args:
        result: plain values with ``notes``.
        judgement: of N rows.
        truth: true labels ``(N,)``, -1 where missing.
        embeddings: as of `prove`.
        free: rows that may change, bool ``(N,)``.
        on_progress: told how far it is.
    """
    missing = int((truth < 0).sum())
    if missing:
        said = f"The truth is missing in {missing} rows, so nothing was proven."
        result["notes"].append(said)
        return
    gated, _ = applied(judgement, "gated", free)
    _, kept = applied(judgement, "drop", free)
    result["proof"] = prove(judgement, truth, embeddings, gated, kept, on_progress)


def prove(
    judgement: Judgement,
    truth: Ints,
    embeddings: Any,
    corrected: Ints,
    kept: Any,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Detection, correction and downstream gain.

    Args:
        judgement: of N rows.
        truth: true labels ``(N,)``, none missing.
        embeddings: ``(N, D)``; None where they do not fit into memory, which leaves out the peers
            and the downstream gain.
        corrected: labels after the policy "gated" ``(N,)``.
        kept: bool ``(N,)``, rows that the policy "drop" keeps.
        on_progress: told how far it is.

    Returns:
        Plain values: ``wrong`` (count), ``methods`` by name, each with ``auroc``,
        ``average_precision``, ``f1``, ``precision_at``, ``accuracy``, ``macro_f1``; ``corrections``
        (``fixed``, ``broken``, ``changed``); ``downstream`` accuracies.
    """
    y = judgement.labels
    wrong = y != truth
    result: dict[str, Any] = {"rows": len(y), "wrong": int(wrong.sum())}
    if not wrong.any() or wrong.all():
        result["note"] = "All labels agree with the truth, or none does: nothing to measure."
        return result
    methods = {
        "counterpoint": measure(judgement.margin, judgement.flagged, judgement.best, y, truth)
    }
    result["methods"] = methods
    result["corrections"] = {
        "changed": int((corrected != y).sum()),
        "fixed": int((wrong & (corrected == truth)).sum()),
        "broken": int((~wrong & (corrected != truth)).sum()),
    }
    if embeddings is None:
        result["note"] = BEYOND_MEMORY
        return result
    steps = ("plain kNN", "cleanlab", "downstream")

    def tell(done: int) -> None:
        if on_progress is not None:
            note = steps[done] if done < len(steps) else ""
            on_progress(Progress("prove", done, len(steps), note))

    z = features(embeddings, "embeddings")
    tell(0)
    methods["kNN"] = plain_knn(z, y, truth)
    tell(1)
    try:
        methods["cleanlab"] = confident_learning(z, y, truth)
    except MissingExtraError as missing:
        result["note"] = f"Not compared with cleanlab: {missing}"
    tell(2)
    result["downstream"] = downstream(z, truth, {"raw": y, "corrected": corrected}, kept)
    tell(3)
    return result


def measure(score: Floats, flagged: Any, best: Ints, y: Ints, truth: Ints) -> dict[str, Any]:
    """What a detector and its corrections are worth.

    Args:
        score: ``(N,)``, the lower the more likely wrong.
        flagged: bool ``(N,)``.
        best: corrected label of every row ``(N,)``.
        y: given labels ``(N,)``.
        truth: true labels ``(N,)``.
    """
    metrics = require("sklearn.metrics", "probe")
    wrong = y != truth
    order = np.argsort(score, kind="stable")
    count = int(wrong.sum())
    present = np.unique(truth[wrong])
    return {
        "auroc": float(metrics.roc_auc_score(wrong, -score)),
        "average_precision": float(metrics.average_precision_score(wrong, -score)),
        "f1": float(metrics.f1_score(wrong, flagged)),
        "f1_at_true_count": float(wrong[order[:count]].mean()),
        "flagged": int(flagged.sum()),
        "precision_at": {str(k): float(wrong[order[:k]].mean()) for k in (*PRECISION_AT, count)},
        "accuracy": float((best == truth)[wrong].mean()),
        "macro_f1": float(
            metrics.f1_score(truth[wrong], best[wrong], labels=present, average="macro")
        ),
    }


def plain_knn(z: Floats, y: Ints, truth: Ints) -> dict[str, Any]:
    """Votes of the 20 nearest rows; flagged where another label outvotes the given one."""
    votes = label_shares(nearest(centred(z), KNN), np.eye(int(y.max()) + 1)[y])
    gap = margin(votes, y)
    return measure(gap, gap < 0, votes.argmax(axis=1), y, truth)


def confident_learning(z: Floats, y: Ints, truth: Ints) -> dict[str, Any]:
    """cleanlab with its defaults, on a 5-fold cross-validated logistic regression.

    Raises:
        MissingExtraError: cleanlab is not installed.
    """
    find = require("cleanlab.filter", "peers").find_label_issues
    rank = require("cleanlab.rank", "peers").get_label_quality_scores
    present, coded = np.unique(y, return_inverse=True)
    selection = require("sklearn.model_selection", "probe")
    folds = selection.StratifiedKFold(5, shuffle=True, random_state=SEED)
    with one_library_thread():
        probabilities = selection.cross_val_predict(
            _logistic(), _scaled(z), coded, cv=folds, method="predict_proba"
        )
    flagged = find(coded, probabilities, n_jobs=1)
    best = present[probabilities.argmax(axis=1)]
    return measure(rank(coded, probabilities), flagged, best, y, truth)


def downstream(z: Floats, truth: Ints, labels: dict[str, Ints], kept: Any) -> dict[str, float]:
    """Accuracy on clean held-out rows of one classifier, trained on differently cleaned labels.

    A random fifth of the rows is held out from the classifier; the labels of the others are used
    as given, as corrected, with the dubious ones dropped, and as they truly are.
    """
    held = np.random.default_rng(SEED).random(len(truth)) < TEST_SHARE
    x = _scaled(z)

    def accuracy(y: Ints, rows: Any) -> float:
        if len(np.unique(y[rows])) < 2:
            return float("nan")
        with one_library_thread():
            model = _logistic().fit(x[rows], y[rows])
        return float((model.predict(x[held]) == truth[held]).mean())

    learn = ~held
    found = {name: accuracy(y, learn) for name, y in labels.items()}
    return found | {
        "dropped": accuracy(labels["raw"], learn & kept),
        "true": accuracy(truth, learn),
    }


def _scaled(z: Floats) -> Any:
    """Rows of length 1 where they are embeddings, which logistic regression then takes as is."""
    return unit_length(z).astype(np.float32)


def _logistic() -> Any:
    model: Callable[..., Any] = require("sklearn.linear_model", "probe").LogisticRegression
    return model(max_iter=200)
