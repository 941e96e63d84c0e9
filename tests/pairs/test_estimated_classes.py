import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.estimated_classes import (
    debiased_labels,
    estimate_counts,
    logit_adjustment,
    select_balanced,
)

COUNTS = torch.tensor([40.0, 10.0, 1.0])


def test_adjustment():
    wanted = ((COUNTS.double() / 51) ** 0.5 + 1e-12).log()
    torch.testing.assert_close(logit_adjustment(COUNTS), wanted)
    assert logit_adjustment(COUNTS, 0.0).abs().max() < 1e-11
    torch.manual_seed(0)
    a, b = torch.randn(2, 4, 3, dtype=torch.float64)
    plain = ((a / 0.1).softmax(1) + (b / 0.1).softmax(1)) / 2
    torch.testing.assert_close(debiased_labels(a, b, COUNTS, kappa=0.0), plain)
    assert (debiased_labels(a, b, COUNTS)[:, 2] > plain[:, 2]).all()
    with pytest.raises(DataError, match="above 0"):
        logit_adjustment(torch.tensor([1.0, 0.0]))
    with pytest.raises(SettingError, match="kappa"):
        logit_adjustment(COUNTS, -1)


def test_selection():
    torch.manual_seed(0)
    soft = torch.randn(60, 3).mul(2).softmax(1)
    none = torch.tensor([], dtype=torch.long)
    everyone = select_balanced(soft, COUNTS, none, alpha=0.0, beta=0.0)
    assert torch.equal(everyone, torch.arange(60))
    confidence, predicted = soft.max(1)
    kept = torch.tensor([2, 0, 3])
    found = select_balanced(soft, COUNTS, none, kept=kept)
    for c in range(3):
        members = (predicted == c).nonzero().flatten()
        best = members[confidence[members].argsort(descending=True)[: kept[c]]]
        assert set(found[predicted[found] == c].tolist()) == set(best.tolist())
    generator = torch.Generator().manual_seed(0)
    sizes = [
        torch.bincount(
            predicted[select_balanced(soft, COUNTS, torch.tensor([0]), generator=generator)],
            minlength=3,
        )
        for _ in range(400)
    ]
    share = torch.stack(sizes).double().mean(0) / torch.bincount(predicted)
    torch.testing.assert_close(share, torch.tensor([1, 0.1**0.5, 1]).double(), rtol=0, atol=0.03)
    with pytest.raises(SettingError, match="alpha"):
        select_balanced(soft, COUNTS, none, alpha=-1)


def test_sizes_go_by_rank_and_novel_ones_descend():
    labels = torch.tensor([0] * 6 + [-1] * 2 + [1] * 3 + [-1] * 9 + [-1] * 3 + [-1] * 5)
    clusters = torch.tensor([2] * 8 + [0] * 12 + [3] * 3 + [1] * 5)
    assert estimate_counts(clusters, labels, 2, 2).tolist() == [12, 8, 5, 3]


def test_empty_clusters_count_one():
    clusters, labels = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, -1, 1, -1, -1])
    estimate = estimate_counts(clusters, labels, 2, 2)
    assert sorted(estimate.tolist()) == [1, 1, 2, 3]
    assert (estimate >= 1).all()
    with pytest.raises(DataError, match="clusters"):
        estimate_counts(clusters, labels, 1, 0)
    with pytest.raises(DataError, match="labels"):
        estimate_counts(clusters, labels, 1, 3)
