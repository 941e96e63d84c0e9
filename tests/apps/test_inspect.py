from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint import geometry
from counterpoint.apps.inspect import inspect
from counterpoint.errors import DataError, SettingError

pytest.importorskip("faiss")
pytest.importorskip("sklearn")


def blobs(count: int = 60, classes: int = 3, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Well separated classes around the coordinate axes."""
    random = np.random.default_rng(0)
    y = np.arange(count) % classes
    return np.eye(width)[y] * 4 + random.normal(size=(count, width)) * 0.3, y


def test_result_is_plain_json_and_repeats() -> None:
    z, y = blobs()
    first = inspect(z, labels=y, views=(z, z + 0.1), map_points=20)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert inspect(z, labels=y, views=(z, z + 0.1), map_points=20) == first


def test_geometry_is_that_of_the_geometry_room() -> None:
    z, y = blobs()
    views = z, z + np.random.default_rng(1).normal(size=z.shape)
    found = inspect(z, labels=y, views=views, projection="PCA")["geometry"]
    assert found["alignment"] == pytest.approx(float(geometry.alignment(*views)))
    assert found["uniformity"] == pytest.approx(float(geometry.uniformity(z)))
    assert found["tolerance"] == pytest.approx(float(geometry.tolerance(z, y)))
    assert found["effective_rank"] == pytest.approx(float(geometry.effective_rank(z)))


def test_spectrum_gives_the_effective_rank() -> None:
    z, _ = blobs()
    found = inspect(z, projection="PCA")
    entropy = -sum(p * math.log(p) for p in found["spectrum"])
    assert sum(found["spectrum"]) == pytest.approx(1)
    assert math.exp(entropy) == pytest.approx(found["geometry"]["effective_rank"])


def test_neighbours_are_the_most_similar_others() -> None:
    z, y = blobs()
    found = inspect(z, labels=y, anchors=7, neighbours=4, projection="PCA")["neighbours"]
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    assert len(found["anchors"]) == 7
    for anchor in found["anchors"]:
        similarity = unit @ unit[anchor["row"]]
        similarity[anchor["row"]] = -2
        order = np.argsort(-similarity)[:4]
        assert anchor["rows"] == order.tolist()
        assert anchor["similarities"] == pytest.approx(similarity[order].tolist(), abs=1e-6)


def test_anchors_are_spread_over_the_classes() -> None:
    z, _ = blobs(60)
    y = np.zeros(60, int)
    y[:2] = 1, 2
    found = inspect(z, labels=y, anchors=3, projection="PCA")["neighbours"]["anchors"]
    assert sorted(y[anchor["row"]] for anchor in found) == [0, 1, 2]


def test_duplicates_of_an_anchor_are_neighbours_and_the_anchor_is_not() -> None:
    z = np.repeat(np.eye(4)[:2], 6, axis=0)
    for anchor in inspect(z, neighbours=3, projection="PCA")["neighbours"]["anchors"]:
        assert len(anchor["rows"]) == 3
        assert anchor["row"] not in anchor["rows"]
        assert anchor["similarities"] == pytest.approx([1, 1, 1])


def test_confusion_against_a_plain_loop() -> None:
    z = np.random.default_rng(3).normal(size=(40, 5))
    y = np.array([2, 5, 5, 9] * 10)
    y[7] = -1
    found = inspect(z, labels=y, neighbours=3, projection="PCA")["confusion"]
    known = np.flatnonzero(y >= 0)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    counts = {(a, b): 0 for a in (2, 5, 9) for b in (2, 5, 9)}
    for i in known:
        others = [j for j in known if j != i]
        for j in sorted(others, key=lambda j: -unit[i] @ unit[j])[:3]:
            counts[y[i], y[j]] += 1
    matrix = np.array([[counts[a, b] for b in (2, 5, 9)] for a in (2, 5, 9)], float)
    pairs = [(i, j) for i in known for j in known if i != j]
    assert found["classes"] == [2, 5, 9]
    assert np.allclose(found["matrix"], matrix / matrix.sum(axis=1, keepdims=True))
    assert found["purity"] == pytest.approx(np.trace(matrix) / matrix.sum())
    assert found["chance"] == pytest.approx(np.mean([y[i] == y[j] for i, j in pairs]))


def test_map_keeps_neighbours_together() -> None:
    z, y = blobs()
    for projection in ("t-SNE", "PCA"):
        chart = inspect(z, labels=y, projection=projection)["map"]
        assert chart["method"] == projection
        points = np.stack([chart["x"], chart["y"]], axis=1)
        distance = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        assert (y[distance.argmin(axis=1)] == y).mean() > 0.9


@pytest.mark.parametrize("z", [np.eye(5), np.ones((40, 6)), np.arange(1, 41.0)[:, None]])
def test_few_rows_a_collapsed_space_or_one_dimension_get_a_plain_map(z: np.ndarray) -> None:
    chart = inspect(z)["map"]
    assert chart["method"] == "PCA"
    assert np.isfinite([chart["x"], chart["y"]]).all()
    assert len(chart["x"]) == len(z)


def test_two_rows_are_enough() -> None:
    found = inspect(np.eye(2), labels=[0, 1], neighbours=8)
    assert found["neighbours"]["k"] == 1
    assert found["confusion"]["purity"] == 0.0


def test_rows_of_a_subset_are_positions_in_what_was_given() -> None:
    z, y = blobs(60)
    items = [f"text {i}" for i in range(60)]
    found = inspect(z, labels=y, items=items, max_rows=20, map_points=10, projection="PCA")
    assert (found["samples"], found["used"], len(found["map"]["rows"])) == (60, 20, 10)
    for row, item in found["items"].items():
        assert item == {"name": f"row {row}", "label": y[int(row)], "text": f"text {row}"}
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    for anchor in found["neighbours"]["anchors"]:
        direct = unit[anchor["rows"]] @ unit[anchor["row"]]
        assert anchor["similarities"] == pytest.approx(direct.tolist(), abs=1e-6)
    assert max(found["map"]["rows"]) > 20


def test_items_are_shown_as_text_or_picture() -> None:
    z, y = blobs(12)
    pictures = [np.full((1, 3, 3), i, np.uint8) for i in range(12)]
    found = inspect(
        z, labels=y, items=pictures, names=[f"{i}.png" for i in range(12)], projection="PCA"
    )
    assert found["items"]["3"]["name"] == "3.png"
    assert found["items"]["3"]["picture"].startswith("data:image/png;base64,")
    long = inspect(z, items=["x" * 1000] * 12, projection="PCA")["items"]["0"]["text"]
    assert long == "x" * 400 + "…"


def test_classes_are_those_that_occur() -> None:
    z, _ = blobs(12)
    found = inspect(z, labels=[0, 7, -1] * 4, classes=["cat", "dog"], projection="PCA")
    assert found["classes"] == {"0": "cat", "7": "7"}
    assert found["items"]["2"]["label"] is None


def test_what_cannot_be_measured_is_none_with_its_reason() -> None:
    z, _ = blobs()
    found = inspect(z, projection="PCA")
    assert found["geometry"]["alignment"] is None
    assert found["geometry"]["tolerance"] is None
    assert found["scores"] == {"of_views": None, "of_labels": None}
    assert found["confusion"] is None
    assert found["reasons"]["alignment"] == "no views were given"
    assert found["reasons"]["confusion"] == "no labels were given"
    alone = inspect(z, labels=[0] + [-1] * 59, projection="PCA")
    assert alone["confusion"] is None
    assert "fewer than two" in alone["reasons"]["confusion"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"embeddings": np.full((5, 2), np.nan)}, DataError, "NaN"),
        ({"embeddings": np.zeros((5, 2))}, DataError, "zero"),
        ({"embeddings": np.ones((1, 2))}, DataError, "at least 2"),
        ({"labels": [0, 1]}, DataError, "labels"),
        ({"names": ["a"]}, DataError, "names has 1 entries for 5"),
        ({"items": ["a"] * 6}, DataError, "items has 6 entries for 5"),
        ({"anchors": 0}, SettingError, "at least 1"),
        ({"projection": "UMAP"}, SettingError, "t-SNE"),
    ],
)
def test_bad_input_is_refused(change: dict, error: type[Exception], says: str) -> None:
    arguments = {"embeddings": np.eye(5) + 0.1, **change}
    with pytest.raises(error, match=says):
        inspect(arguments.pop("embeddings"), **arguments)


def test_torch_and_half_precision_are_taken() -> None:
    z, y = blobs()
    half = torch.from_numpy(z).half().requires_grad_()
    found = inspect(half, labels=torch.from_numpy(y), projection="PCA")
    plain = inspect(z, labels=y, projection="PCA")
    assert found["geometry"]["uniformity"] == pytest.approx(
        plain["geometry"]["uniformity"], rel=1e-2
    )


def test_a_page_of_real_images(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("plotly")
    from counterpoint.report import inspect_page

    digits = pytest.importorskip("sklearn.datasets").load_digits()
    z = digits.data[:200] - digits.data.mean(axis=0)
    items = (digits.images[:200, None] / 16 * 255).astype(np.uint8)
    found = inspect(
        z, labels=digits.target[:200], items=items, classes=digits.target_names, projection="PCA"
    )
    inspect_page(found, tmp_path / "space.html")
    html = (tmp_path / "space.html").read_text()
    assert found["confusion"]["purity"] > 0.8
    assert html.count("<img ") == 12 * 9
