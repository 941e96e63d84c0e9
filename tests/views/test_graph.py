import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.views.graph import drop_edges, mask_features, mask_links


def test_edges_go_one_direction_at_a_time():
    torch.manual_seed(0)
    edges = torch.stack([torch.arange(2000), torch.arange(2000).flip(0)])
    kept = drop_edges(edges, 0.3)
    assert abs(kept.shape[1] - 1400) < 100
    assert (kept[0].diff() > 0).all()
    assert torch.equal(kept[1], 1999 - kept[0])
    assert torch.equal(drop_edges(edges, 0.0), edges)
    assert drop_edges(edges, 1.0).shape == (2, 0)


def test_links_are_masked_and_every_node_keeps_itself():
    torch.manual_seed(0)
    graph = torch.rand(9, 9) * 5
    graph[graph < 2] = 0
    links = int((graph.fill_diagonal_(0) != 0).sum())
    masked = mask_links(graph.fill_diagonal_(3), 0.4).to_dense()
    assert masked.unique().tolist() == [0, 1]
    assert (masked.diagonal() == 1).all()
    assert int(masked.sum()) - 9 == links - round(0.4 * links)
    assert (graph[masked > 0] > 0).all()
    assert torch.equal(mask_links(graph.to_sparse(), 1.0).to_dense(), torch.eye(9))


def test_features_that_are_not_zero_are_masked():
    x = torch.arange(20.0).view(4, 5) % 3
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    first, again, other = (mask_features(x, 0.5, generator=g) for g in generators)
    filled = int((x != 0).sum())
    assert int((first != 0).sum()) == filled - round(0.5 * filled)
    assert torch.equal(first[first != 0], x[first != 0])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bad_input():
    with pytest.raises(SettingError, match="rate"):
        mask_features(torch.ones(2, 2), 1.2)
    with pytest.raises(DataError, match="edges"):
        drop_edges(torch.zeros(3, 2, dtype=torch.int64), 0.5)
    with pytest.raises(DataError, match="graph"):
        mask_links(torch.ones(2, 3), 0.5)
