import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError
from counterpoint.pairs.classes import nearest_classes
from counterpoint.pairs.cluster_labels import cluster_centres, renumbered


def bundles(directions, members):
    generator = torch.Generator().manual_seed(0)
    rows = torch.eye(directions).repeat_interleave(members, 0)
    lengths = 1 + 9 * torch.rand(len(rows), 1, generator=generator)
    return lengths * (rows + 0.05 * torch.randn(rows.shape, generator=generator))


def test_centres_are_of_directions_whatever_the_lengths():
    centres = normalize(cluster_centres(bundles(4, 10), 4), dim=1)
    labels = nearest_classes(bundles(4, 10), centres, 1).view(4, 10)
    assert (labels == labels[:, :1]).all()
    assert sorted(labels[:, 0].tolist()) == [0, 1, 2, 3]


def test_clusters_beyond_the_directions_are_nobodys_nearest():
    rows = torch.eye(3).repeat(4, 1)
    centres = cluster_centres(rows, 6)
    assert centres.isfinite().all()
    nearest = nearest_classes(rows, centres, 1)
    assert len(nearest.unique()) == 3


def test_more_clusters_than_samples_are_refused():
    with pytest.raises(DataError, match="4 samples cannot make 5 clusters"):
        cluster_centres(torch.eye(4), 5)


def test_new_clusters_keep_the_numbers_of_those_they_resemble():
    generator = torch.Generator().manual_seed(0)
    old = torch.rand(200, 6, generator=generator).argsort(1)[:, :2]
    shuffle = torch.randperm(6, generator=generator)
    assert torch.equal(renumbered(shuffle[old], old, 6), old)
    some = shuffle[old].clone()
    some[:20] = torch.tensor([0, 1])
    assert torch.equal(renumbered(some, old, 6)[20:], old[20:])
    with pytest.raises(DataError, match="same samples"):
        renumbered(old[:5], old, 6)
