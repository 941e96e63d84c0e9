import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError
from counterpoint.geometry.modality_gap import centroid_distance


def test_it_is_the_distance_of_the_means():
    torch.manual_seed(0)
    x, y = torch.randn(20, 4, dtype=torch.float64), torch.randn(30, 4, dtype=torch.float64) + 1
    unit = normalize(x).mean(0) - normalize(y).mean(0)
    torch.testing.assert_close(centroid_distance(x, y), unit.square().sum().sqrt())
    plain = (x.mean(0) - y.mean(0)).square().sum().sqrt()
    torch.testing.assert_close(centroid_distance(x, y, normalize=False), plain)


def test_its_limits():
    x = torch.eye(3)
    assert centroid_distance(x, x.flip(0)) == 0
    one = torch.tensor([[1.0, 0.0]])
    assert centroid_distance(one, -5 * one).item() == pytest.approx(2)


def test_widths_that_differ_are_refused():
    with pytest.raises(DataError, match="width"):
        centroid_distance(torch.ones(2, 3), torch.ones(2, 4))
