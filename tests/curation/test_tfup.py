import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.curation.tfup import (
    select_cache,
    semantic_similarity,
    shots_for,
    tfup_logits,
)
from counterpoint.errors import DataError, SettingError


def draw(n=20, c=3, d=5, k=6):
    torch.manual_seed(0)
    return [torch.randn(m, d, dtype=torch.float64) for m in (n, c, k)]


def probabilities(x, w):
    return (10 * normalize(x, dim=1) @ normalize(w, dim=1).T).softmax(1)


def kl(p, q):
    return (p * (p / q).log()).sum()


def test_selection_equals_a_loop():
    x, w, _ = draw()
    p = probabilities(x, w)
    wanted = []
    for c in range(3):
        candidates = sorted(range(20), key=lambda n: -p[n, c])[:6]
        score = {j: sum(kl(p[j], p[i]) for i in candidates) for j in candidates}
        wanted += sorted(candidates, key=lambda j: score[j])[:3]
    found = select_cache(x, w, 3)
    assert found.indices.tolist() == wanted
    assert found.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_few_samples_are_all_used_with_a_warning():
    x, w, _ = draw(n=4)
    with pytest.warns(UserWarning, match="fewer shots"):
        found = select_cache(x, w, 9)
    assert len(found.indices) == 12
    keys = x[found.indices]
    logits = tfup_logits(x, keys, found.labels, w)
    assert torch.equal(logits.argmax(1), tfup_logits(x, keys, found.labels, w, alpha=0.0).argmax(1))


def test_similarity_and_logits_equal_a_loop():
    x, w, keys = draw()
    p, q = probabilities(x, w), probabilities(keys, w)
    labels = torch.arange(6) % 3
    found = tfup_logits(x, keys, labels, w, alpha=0.5, beta=2.0)
    similarity = semantic_similarity(x, keys, w)
    for n in range(20):
        row = torch.stack([kl(p[n], q[k]) for k in range(6)])
        s = 2 * (1 - (row - row.min()) / (row.max() - row.min()))
        torch.testing.assert_close(similarity[n], s)
        unit = normalize(x[n], dim=0)
        for c in range(3):
            total = 100 * unit @ normalize(w[c], dim=0)
            for k in range(6):
                if labels[k] == c:
                    r = unit @ normalize(keys[k], dim=0) * s[k]
                    total = total + 0.5 * math.exp(-2 * (1 - r))
            torch.testing.assert_close(found[n, c], total)
    assert similarity.min() >= 0
    assert similarity.max() <= 2


def test_keys_equally_far_count_one():
    x, w, keys = draw()
    assert semantic_similarity(x, keys[:1], w).eq(1).all()
    assert semantic_similarity(x, keys[:1].repeat(4, 1), w).eq(1).all()
    assert semantic_similarity(x, keys, w[:1]).eq(1).all()
    labels = torch.zeros(6, dtype=torch.int64)
    zero_shot = 100 * normalize(x, dim=1) @ normalize(w[:1], dim=1).T
    torch.testing.assert_close(tfup_logits(x, keys, labels, w[:1]), zero_shot)


def test_half_precision_underflows_nothing():
    x, w, keys = (v.half() for v in draw())
    found = semantic_similarity(x * 30, keys, w, scale=100.0)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


def test_shots_are_bounded():
    assert [shots_for(n, 10) for n in (100, 400, 10_000)] == [9, 12, 16]


def test_bad_input_is_refused():
    x, w, keys = draw()
    with pytest.raises(SettingError, match="shots"):
        select_cache(x, w, 0)
    with pytest.raises(DataError, match="width"):
        select_cache(x, w[:, :2], 2)
    with pytest.raises(DataError, match="key_labels"):
        tfup_logits(x, keys, torch.eye(3), w)
    with pytest.raises(SettingError, match="beta"):
        tfup_logits(x, keys, torch.arange(6) % 3, w, beta=-1.0)
