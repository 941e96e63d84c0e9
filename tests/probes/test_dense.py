import numpy as np
import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.probes.dense import Dense, places


def maps(count, seed):
    """Cells that point where their class says, in 2 x 2 places of 2 x 2 cells, and the classes."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (count, 2, 2), generator=generator)
    cells = y.repeat_interleave(2, 1).repeat_interleave(2, 2)
    x = torch.nn.functional.one_hot(cells, 3).permute(0, 3, 1, 2).float()
    return x + 0.3 * torch.randn(x.shape, generator=generator), y


@pytest.mark.parametrize("classifier", ["linear", "knn"])
def test_places_are_told_apart_where_images_would_not_be(classifier):
    train, test = maps(60, 0), maps(30, 1)
    probe = Dense(classifier)
    assert probe.score(*train, *test) > 0.95
    assert probe.score(*(part.numpy() for part in (*train, *test))) == probe.score(*train, *test)
    guess = test[1].flip(0)
    assert probe.score(*train, test[0], guess) < 0.6


def test_a_place_is_the_mean_of_its_cells_and_unknown_ones_are_left_out():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    rows, y = places(x, torch.tensor([[[5, -1], [7, 8]]]), "train")
    np.testing.assert_array_equal(rows, [[2.5], [10.5], [12.5]])
    assert y.tolist() == [5, 7, 8]


def test_thinned_rows_are_those_of_the_seed():
    train, test = maps(60, 0), maps(30, 1)
    scores = [Dense("knn", max_rows=3, seed=seed).score(*train, *test) for seed in (0, 0, 1, 2)]
    assert scores[0] == scores[1]
    assert len(set(scores)) > 1


def test_what_does_not_fit_is_named():
    x, y = maps(4, 0)
    with pytest.raises(DataError, match="dividing H and W"):
        Dense().score(x, y[:, :, :1].expand(-1, -1, 3), x, y)
    with pytest.raises(DataError, match="test_y names no class"):
        Dense().score(x, y, x, torch.full_like(y, -1))
    with pytest.raises(DataError, match="one class only"):
        Dense().score(x, torch.zeros_like(y), x, y)
    x[0, 0] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        Dense().score(x, y, x, y)
    with pytest.raises(SettingError, match="classifier"):
        Dense("tree")
