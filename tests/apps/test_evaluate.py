import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint import geometry
from counterpoint.apps.evaluate import evaluate
from counterpoint.errors import DataError
from counterpoint.probes import KNN, PROTOCOL, Linear, NaiveBayes

generator = np.random.default_rng(0)
TRAIN_Y, TEST_Y = generator.integers(0, 4, 150), generator.integers(0, 4, 70)
TRAIN = generator.normal(size=(150, 8)) + np.eye(8)[TRAIN_Y]
TEST = generator.normal(size=(70, 8)) + np.eye(8)[TEST_Y]
VIEWS = (TEST, TEST + 0.1 * generator.normal(size=TEST.shape))


def test_numbers_are_those_of_the_probes_and_measures() -> None:
    found = evaluate(TRAIN, TRAIN_Y, TEST, TEST_Y, views=VIEWS)
    rows = (TRAIN, TRAIN_Y, TEST, TEST_Y)
    assert found["probes"] == {
        "knn": KNN().score(*rows),
        "linear": Linear().score(*rows),
        "naive_bayes": NaiveBayes().score(*rows),
    }
    assert found["geometry"] == pytest.approx(
        {
            "alignment": float(geometry.alignment(*VIEWS)),
            "uniformity": float(geometry.uniformity(TEST)),
            "tolerance": float(geometry.tolerance(TEST, TEST_Y)),
            "effective_rank": float(geometry.effective_rank(TEST)),
        }
    )
    assert found["curves"]["two_regimes"]["m"] == [12, 20, 40, 80]
    assert sum(found["curves"]["scores_of_views"]["positive"]) == 70
    assert found["reasons"] == {}


def test_result_is_json_with_the_whole_protocol() -> None:
    protocol = replace(PROTOCOL, knn=KNN(5), uniformity_t=3.0)
    found = json.loads(json.dumps(evaluate(TRAIN, TRAIN_Y, TEST, TEST_Y, protocol=protocol)))
    assert found["protocol"]["name"] == "counterpoint-eval"
    assert found["protocol"]["version"] == PROTOCOL.version
    assert found["protocol"]["knn"] == {"version": "1", "k": 5, "temperature": 0.07}
    assert found["geometry"]["uniformity"] == pytest.approx(float(geometry.uniformity(TEST, 3.0)))


def test_without_labels_probes_are_none_with_the_reason() -> None:
    found = evaluate(TRAIN, None, TEST, None)
    assert found["probes"] == {"knn": None, "linear": None, "naive_bayes": None}
    assert found["geometry"]["tolerance"] is None
    assert found["geometry"]["uniformity"] is not None
    assert found["curves"] == {
        "two_regimes": None,
        "scores_of_views": None,
        "scores_of_labels": None,
    }
    assert found["reasons"]["knn"] == "no labels"
    assert found["reasons"]["alignment"] == "no embeddings of two views were given"


def test_rows_without_a_label_are_left_out_of_probes_only() -> None:
    holes = np.where(np.arange(150) % 3 == 0, -1, TRAIN_Y)
    found = evaluate(TRAIN, holes, TEST, TEST_Y)
    known = holes >= 0
    assert found["probes"]["knn"] == KNN().score(TRAIN[known], TRAIN_Y[known], TEST, TEST_Y)
    assert evaluate(TRAIN, np.full(150, -1), TEST, TEST_Y)["reasons"]["linear"] == "no labels"


def test_one_class_and_dead_embeddings_are_reasons_not_crashes() -> None:
    found = evaluate(TRAIN, np.zeros(150, dtype=int), np.zeros((70, 8)), TEST_Y)
    assert "one class only" in found["reasons"]["linear"]
    assert "zero vectors" in found["reasons"]["uniformity"]
    assert found["geometry"]["effective_rank"] is None


def test_caps_thin_to_the_same_random_rows() -> None:
    protocol = replace(PROTOCOL, max_train=60, max_test=30, max_geometry=25, curve_repeats=0)
    found = evaluate(TRAIN, TRAIN_Y, TEST, TEST_Y, protocol=protocol)
    assert found == evaluate(
        torch.tensor(TRAIN), torch.tensor(TRAIN_Y), torch.tensor(TEST), TEST_Y, protocol=protocol
    )
    assert found["probes"]["knn"] * 30 == pytest.approx(round(found["probes"]["knn"] * 30))
    assert found["geometry"]["uniformity"] != float(geometry.uniformity(TEST))
    assert found["curves"]["two_regimes"] is None
    assert "leaves this curve out" in found["reasons"]["two_regimes"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((np.full((150, 8), np.inf), TRAIN_Y, TEST, TEST_Y), "train_z has NaN or infinite"),
        ((TRAIN[:, :5], TRAIN_Y, TEST, TEST_Y), "5 columns"),
        ((TRAIN, TRAIN_Y[:9], TEST, TEST_Y), "train_y must have shape"),
        ((TRAIN, TRAIN_Y, TEST, TEST_Y * 1.0), "test_y must be whole numbers"),
    ],
)
def test_bad_input_is_an_error(rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(*rows)
