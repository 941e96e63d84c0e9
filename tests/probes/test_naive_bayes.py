import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import DataError, SettingError
from counterpoint.probes import NaiveBayes, SharedVarianceNaiveBayes
from counterpoint.probes.logistic import fit_logistic
from counterpoint.probes.scaling import min_max

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())["cases"]


def arrays(case: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(entry["data"]).reshape(entry["shape"])
        for name, entry in case["inputs"].items()
    }


def test_recorded_fit() -> None:
    x, out = arrays(RECORDED[0]), RECORDED[0]["outputs"]
    model = SharedVarianceNaiveBayes(1e-9).fit(x["X_train"], x["y_train"])
    for name, value in {
        "class_means": model.means,
        "class_prior": model.prior,
        "class_variances": model.class_variances,
        "shared_variance": model.shared_variance,
        "log_likelihood_without_prior": model.log_likelihood(x["X_test"]),
    }.items():
        np.testing.assert_allclose(value.ravel(), out[name], atol=1e-10)
    prediction = model.predict(x["X_test"])
    assert prediction.tolist() == out["prediction"]
    assert (prediction == x["y_test"]).mean() == out["accuracy"]


def test_recorded_streaming() -> None:
    x, out = arrays(RECORDED[1]), RECORDED[1]["outputs"]
    model = SharedVarianceNaiveBayes(1e-9)
    model.partial_fit(x["X_batch1"], x["y_batch1"]).partial_fit(x["X_batch2"], x["y_batch2"])
    np.testing.assert_allclose(model.means.ravel(), out["class_means"], atol=1e-10)
    np.testing.assert_allclose(model.prior, out["class_prior"], atol=1e-12)
    np.testing.assert_allclose(model.class_variances.ravel(), out["class_variances"], atol=1e-10)


def test_recorded_min_max_scaled_probes() -> None:
    x, out = arrays(RECORDED[0]), RECORDED[2]["outputs"]
    scale = min_max(x["X_train"])
    train, test = scale(x["X_train"]), scale(x["X_test"])
    lr = fit_logistic(train, x["y_train"], C=1.0, max_iter=1000, tol=1e-10)
    np.testing.assert_allclose(lr.coef_.ravel(), out["lr_coef"], atol=1e-3)
    np.testing.assert_allclose(lr.intercept_, out["lr_intercept"], atol=1e-3)
    assert lr.predict(test).tolist() == out["lr_prediction"]
    nb = SharedVarianceNaiveBayes(1e-9).fit(train, x["y_train"])
    assert nb.predict(test).tolist() == out["nb_prediction"]


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    classes=st.integers(1, 4),
)
def test_streaming_equals_one_fit_whatever_classes_the_batches_hold(
    seed: int, sizes: list[int], classes: int
) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(sum(sizes), 3)) * 10 + 100
    y = generator.integers(0, classes, sum(sizes))
    whole = SharedVarianceNaiveBayes().fit(x, y)
    parts = SharedVarianceNaiveBayes()
    for rows in np.split(np.arange(len(y)), np.cumsum(sizes)[:-1]):
        parts.partial_fit(x[rows], y[rows])
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_allclose(parts.means, whole.means, atol=1e-9)
    np.testing.assert_allclose(parts.class_variances, whole.class_variances, rtol=1e-9, atol=1e-9)


def slow_scores(x: np.ndarray, y: np.ndarray, at: np.ndarray, eps: float) -> np.ndarray:
    classes, (m, n) = int(y.max()) + 1, x.shape
    shared = [0.0] * n
    for k in range(classes):
        own = x[y == k]
        for j in range(n):
            mean = sum(own[:, j]) / len(own)
            shared[j] += len(own) / m * (sum((own[:, j] - mean) ** 2) / len(own) + eps)
    scores = np.zeros((len(at), classes))
    for k in range(classes):
        mean = x[y == k].mean(axis=0)
        for i, row in enumerate(at):
            scores[i, k] = np.log((y == k).mean()) - 0.5 * sum(
                (row[j] - mean[j]) ** 2 / shared[j] for j in range(n)
            )
    return scores


def test_equals_the_plain_loop_and_its_linear_form() -> None:
    generator = np.random.default_rng(0)
    y = np.array([0, 1, 2, 2, 0, 2, 2, 1, 2, 2])
    x, at = generator.normal(size=(10, 3)), generator.normal(size=(7, 3))
    expected = slow_scores(x, y, at, 0.01)
    model = SharedVarianceNaiveBayes(0.01).fit(x, y)
    assert model.predict(at).tolist() == expected.argmax(axis=1).tolist()
    odds = np.exp(expected)
    np.testing.assert_allclose(model.predict_proba(at), odds / odds.sum(axis=1, keepdims=True))
    weights, biases = model.linear()
    gap = at @ weights.T + biases - expected
    np.testing.assert_allclose(gap, np.repeat(gap[:, :1], 3, axis=1), atol=1e-9)


def test_class_without_a_row_is_never_predicted() -> None:
    model = SharedVarianceNaiveBayes().fit([[0.0], [1.0], [5.0]], [0, 0, 2])
    assert model.prior.tolist() == [2 / 3, 0, 1 / 3]
    assert np.isneginf(model.log_likelihood([[0.5]])[0, 1])
    posterior = model.predict_proba([[0.5], [5.0]])
    assert posterior[:, 1].tolist() == [0, 0]
    assert np.isfinite(posterior).all()
    assert model.predict([[0.5], [5.0]]).tolist() == [0, 2]


def test_one_sample_a_class_is_nearest_mean() -> None:
    model = SharedVarianceNaiveBayes().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    assert model.shared_variance == pytest.approx([1e-9, 1e-9])
    assert model.predict([[0.4, 0.5], [0.7, 0.5]]).tolist() == [0, 1]


def test_tie_goes_to_the_lowest_class() -> None:
    assert SharedVarianceNaiveBayes().fit([[-1.0], [1.0]], [1, 0]).predict([[0.0]]) == [0]


def test_boundary_is_linear_where_the_usual_naive_bayes_bends() -> None:
    x = [[-1.0], [1.0], [-10.0], [10.0], [30.0], [31.0]]
    model = SharedVarianceNaiveBayes().fit(x, [0, 0, 1, 1, 2, 2])
    far = model.predict(np.linspace(-1e3, 1e3, 41)[:, None])
    assert (np.diff(far == 2) != 0).sum() == 1


def test_fit_forgets_and_errors_are_named() -> None:
    model = SharedVarianceNaiveBayes()
    with pytest.raises(DataError, match="Nothing was learnt"):
        model.predict([[0.0]])
    model.fit([[0.0], [1.0]], [0, 3]).fit([[0.0, 1.0], [1.0, 1.0]], [0, 1])
    assert model.counts.tolist() == [1, 1]
    with pytest.raises(DataError, match="fitted on 2"):
        model.partial_fit([[1.0]], [0])
    with pytest.raises(DataError, match="fitted on 2"):
        model.predict([[1.0]])
    with pytest.raises(SettingError, match="eps"):
        SharedVarianceNaiveBayes(0)
    with pytest.raises(SettingError, match="eps"):
        NaiveBayes(eps=-1)


def test_probe_scales_by_training_rows_only() -> None:
    generator = np.random.default_rng(1)
    y = generator.integers(0, 3, 60)
    x = generator.normal(size=(60, 4)) + y[:, None]
    x[:, 3] = 7  # constant: divided by 1
    test, truth = x[:20] * 3, y[:20]
    low, high = x.min(axis=0), x.max(axis=0)
    width = np.where(high > low, high - low, 1)
    model = SharedVarianceNaiveBayes(0.01).fit((x - low) / width, y)
    expected = (model.predict((test - low) / width) == truth).mean()
    assert NaiveBayes(0.01).score(x, y, test, truth) == expected
    as_torch = NaiveBayes(0.01).score(*map(torch.as_tensor, (x, y, test, truth)))
    assert as_torch == expected
