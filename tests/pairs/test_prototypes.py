import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.prototypes import class_means, polish, unit_class_means

LABELS = torch.tensor([0, 2, 0, -1, 2, 2])


def draw(n=6, d=3):
    torch.manual_seed(0)
    return torch.randn(n, d, dtype=torch.float64)


def test_means_and_counts():
    x = draw()
    means, counts = class_means(x, LABELS, 4)
    assert counts.tolist() == [2, 0, 3, 0]
    torch.testing.assert_close(means[0], (x[0] + x[2]) / 2)
    torch.testing.assert_close(means[2], (x[1] + x[4] + x[5]) / 3)
    assert means[1].abs().sum() == means[3].abs().sum() == 0


def test_unit_means_normalise_before_and_after():
    x = draw()
    labels = torch.tensor([0, 1, 0, -1, 1, 1])
    found = unit_class_means(x, labels, 2)
    torch.testing.assert_close(found[0], normalize(normalize(x[[0, 2]], dim=1).mean(0), dim=0))
    torch.testing.assert_close(unit_class_means(7 * x, labels, 2), found)


def test_a_class_without_direction_is_named():
    with pytest.raises(DataError, match="Class 1 has 0 members"):
        unit_class_means(draw(), LABELS, 3)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(DataError, match="Class 0 has 2 members"):
        unit_class_means(opposite, torch.tensor([0, 0]), 1)
    with pytest.raises(DataError, match=r"0\.\.1"):
        class_means(draw(), LABELS, 2)


def test_polishing_goes_sample_by_sample():
    c, x = normalize(draw(3), dim=1), normalize(draw(), dim=1)
    wanted = c.clone()
    for row, label in enumerate(LABELS.tolist()):
        if label >= 0:
            wanted[label] = 0.9 * wanted[label] + 0.1 * x[row]
    torch.testing.assert_close(polish(c, x, LABELS, 0.9), normalize(wanted, dim=1))
    torch.testing.assert_close(polish(c, x, LABELS, 1.0), c)
    torch.testing.assert_close(polish(c, x, LABELS, 0.0)[2], x[5])
    assert not torch.allclose(polish(c, x.flip(0), LABELS.flip(0), 0.9), polish(c, x, LABELS, 0.9))
    with pytest.raises(SettingError, match="momentum"):
        polish(c, x, LABELS, 1.1)
