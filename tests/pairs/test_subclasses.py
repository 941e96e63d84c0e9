import math

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.subclasses import class_temperatures, subclass_counts


def test_counts():
    assert subclass_counts(torch.tensor([100, 35, 9, 3]), 10).tolist() == [10, 3, 1, 1]
    assert subclass_counts(torch.tensor([100, 40, 25]), 10).tolist() == [4, 1, 1]
    with pytest.raises(DataError, match="at least one"):
        subclass_counts(torch.tensor([3, 0]))
    with pytest.raises(SettingError, match="smallest"):
        subclass_counts(torch.tensor([3]), 0)


@pytest.mark.parametrize("form", ["linear", "exponential"])
def test_temperatures_are_a_loop_in_any_order(form):
    torch.manual_seed(0)
    labels = torch.tensor([0] * 9 + [1] * 6 + [2] * 4)
    v = torch.nn.functional.normalize(torch.randn(19, 3, dtype=torch.float64), dim=1)
    counts = torch.tensor([2, 3, 1])
    phi = []
    for c in range(3):
        own = v[labels == c]
        gaps = [(x - own.mean(0) + 1e-6).norm() for x in own]
        phi.append(torch.stack(gaps).mean() / math.log(len(own) + 10))
    phi = torch.stack(phi)
    phi = phi.clamp(phi.quantile(0.2), phi.quantile(0.8))
    ratio = phi / phi.mean()
    wanted = 0.1 * (ratio if form == "linear" else ratio.exp())
    wanted[2] = 0.1
    order = torch.randperm(19)
    found = class_temperatures(v[order], labels[order], counts, 0.1, form=form)
    torch.testing.assert_close(found, wanted)


def test_identical_features_and_bad_inputs():
    v = torch.ones(6, 4, dtype=torch.float64) / 2
    labels, counts = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([2, 2])
    torch.testing.assert_close(
        class_temperatures(v, labels, counts), torch.full((2,), 0.1, dtype=torch.float64)
    )
    with pytest.raises(DataError, match="no sample"):
        class_temperatures(v, labels, torch.tensor([2, 2, 2]))
    with pytest.raises(SettingError, match="form"):
        class_temperatures(v, labels, counts, form="square")
    with pytest.raises(SettingError, match="temperature"):
        class_temperatures(v, labels, counts, 0.0)
