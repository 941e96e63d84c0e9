from __future__ import annotations

import pytest
import torch
from torch import Tensor

from counterpoint.engine import neighbours
from counterpoint.engine.neighbours import most_similar


def rows(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_equals_the_whole_matrix(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, count: int
) -> None:
    monkeypatch.setattr(neighbours, "TILE_ROWS", 64)
    monkeypatch.setattr(neighbours, "TILE_COLUMNS", 650)
    anchors, candidates = rows(150).to(dtype), rows(2003, 1).to(dtype)
    value, place = most_similar(anchors, candidates, count)
    expected = (anchors @ candidates.T).topk(count, dim=1)
    torch.testing.assert_close(value, expected.values, rtol=1e-5, atol=1e-5)
    assert torch.equal(place, expected.indices)


@pytest.mark.parametrize("own", [-70, 0, 600])
def test_no_anchor_finds_itself(monkeypatch: pytest.MonkeyPatch, own: int) -> None:
    monkeypatch.setattr(neighbours, "TILE_ROWS", 64)
    monkeypatch.setattr(neighbours, "TILE_COLUMNS", 650)
    candidates = rows(700)
    anchors = rows(150, 1)
    scores = anchors @ candidates.T
    for at in range(150):
        if 0 <= own + at < 700:
            scores[at, own + at] = -torch.inf
    _, place = most_similar(anchors, candidates, 9, own)
    assert torch.equal(place, scores.topk(9, dim=1).indices)


def test_without_one_dnn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    z = rows(900)
    quick = most_similar(z, z, 5, own=0)
    monkeypatch.setattr(neighbours, "ONE_DNN", False)
    plain = most_similar(z, z, 5, own=0)
    torch.testing.assert_close(quick[0], plain[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(quick[1], plain[1])


def test_fewer_candidates_than_asked_for() -> None:
    z = rows(4)
    value, place = most_similar(z, z, 9)
    assert value.shape == place.shape == (4, 4)
