import pytest
import torch

from counterpoint.encoders.token_rows import only_rows_learn, place_row
from counterpoint.errors import DataError, SettingError


def test_only_the_named_rows_learn():
    table = torch.randn(5, 3, requires_grad=True)
    handle = only_rows_learn(table, [1, 4])
    table.square().sum().backward()
    assert table.grad[[0, 2, 3]].abs().sum() == 0
    assert (table.grad[[1, 4]] == 2 * table[[1, 4]]).all()
    handle.remove()
    table.grad = None
    table.sum().backward()
    assert (table.grad == 1).all()
    for rows in ([], [5], [-1]):
        with pytest.raises(SettingError, match="rows"):
            only_rows_learn(table, rows)


def test_a_row_replaces_every_occurrence():
    hidden = torch.zeros(2, 4, 3)
    ids = torch.tensor([[1, 7, 2, 7], [7, 0, 0, 0]])
    row = torch.ones(3, requires_grad=True)
    found = place_row(hidden, ids, 7, row)
    assert found.sum(2).tolist() == [[0, 3, 0, 3], [3, 0, 0, 0]]
    found.sum().backward()
    assert row.grad.tolist() == [3, 3, 3]
    with pytest.raises(DataError, match="Phrase 0"):
        place_row(hidden, ids.clamp(max=5), 7, row)
    with pytest.raises(DataError, match="do not fit"):
        place_row(hidden, ids[:, :2], 7, row)
