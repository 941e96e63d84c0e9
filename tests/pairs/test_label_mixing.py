import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.label_mixing import label_mixtures

TARGETS = torch.tensor([20.0, 22, 24, 24, 25, 27]).double()


def rows(table, role):
    return [
        (i, int(table.first[i, e]), int(table.second[i, e]), float(table.weight[i, e]), e)
        for i in range(len(TARGETS))
        for e in range(table.role.shape[1])
        if table.role[i, e] == role
    ]


def test_sets_of_mixtures_are_those_of_the_definition():
    torch.manual_seed(0)
    table = label_mixtures(TARGETS, 5.0, most_positives=None)
    n = range(6)
    wanted = {(i, i, k) for i in n for k in n if TARGETS[i] != TARGETS[k]}
    assert {x[:3] for x in rows(table, 0)} == wanted
    inside = {
        (i, j, k)
        for i in n
        for j in n
        for k in n
        if TARGETS[i] - 5 < TARGETS[j] < TARGETS[i] < TARGETS[k] < TARGETS[i] + 5
    }
    positives = rows(table, 1)
    assert {x[:3] for x in positives} == inside
    assert (2, 0, 4) in inside
    assert not any(j == 0 for i, j, _ in inside if i == 4)
    for i, *_, e in positives:
        torch.testing.assert_close(table.targets[i, e], TARGETS[i])


def test_affine_embeddings_meet_their_anchor():
    table = label_mixtures(TARGETS, 5.0)
    line = TARGETS[:, None] * torch.randn(3).double() + 1
    for i, j, k, w, _ in rows(table, 1):
        torch.testing.assert_close(w * line[j] + (1 - w) * line[k], line[i])


def test_mixed_negatives_are_harder_and_shares_are_beta():
    torch.manual_seed(0)
    z = normalize(torch.randn(6, 3).double(), dim=1)
    shares = []
    for _ in range(60):
        for i, _, k, w, _ in rows(label_mixtures(TARGETS), 0):
            assert z[i] @ (w * z[i] + (1 - w) * z[k]) >= z[i] @ z[k]
            shares.append(w)
    assert sum(shares) / len(shares) == pytest.approx(0.2, abs=0.01)


def test_limits_and_small_windows():
    few = label_mixtures(TARGETS, most_negatives=2, most_positives=1)
    assert ((few.role == 0).sum(1) <= 2).all()
    assert ((few.role == 1).sum(1) <= 1).all()
    assert not rows(label_mixtures(TARGETS, 0.5), 1)


def test_bad_inputs_are_refused():
    with pytest.raises(SettingError, match="window"):
        label_mixtures(TARGETS, 0)
    with pytest.raises(DataError, match="targets"):
        label_mixtures(TARGETS[:, None])
