import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.clip import clip
from counterpoint.objectives.multiple_negatives import (
    MNR,
    MNRPlus,
    mnr,
    mnr_plus,
    self_similarity_targets,
)
from counterpoint.objectives.routing import load_balance, specified_expert


def draw(n=6, d=4, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(n, d, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def dense(x, y, unit, theta=1.0):
    if unit:
        x, y = normalize(x, dim=1), normalize(y, dim=1)
    t = (theta * (x @ x.T + y @ y.T) / 2).softmax(1)
    s = x @ y.T / theta
    return s, t.argmax(1), t.argmax(0)


@pytest.mark.parametrize("unit", [False, True])
def test_one_way_is_dense_cross_entropy(unit):
    x, y = draw()
    s, *_ = dense(x, y, unit)
    wanted = cross_entropy(s, torch.arange(6))
    found = mnr(x, y, normalize=unit)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(*(torch.autograd.grad(v, [x, y]) for v in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("theta", [1.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_self_similarity_targets_are_those_of_the_dense_matrices(unit, theta, seed):
    x, y = draw(n=9, seed=seed)
    s, rows, columns = dense(x, y, unit, theta)
    found = self_similarity_targets(x, y, theta, normalize=unit)
    assert torch.equal(found[0], rows)
    assert torch.equal(found[1], columns)
    wanted = (cross_entropy(s, rows) + cross_entropy(s.T, columns)) / 2
    loss = mnr_plus(x, y, theta, targets="self_similarity", normalize=unit)
    torch.testing.assert_close(loss, wanted)
    for a, b in zip(*(torch.autograd.grad(v, [x, y]) for v in (loss, wanted)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("block_numbers", [2**24, 1])
def test_the_first_of_saturated_shares_is_the_target(block_numbers, monkeypatch):
    monkeypatch.setattr("counterpoint.engine.rows.BLOCK_NUMBERS", block_numbers)
    x, y = (10 * z.detach() for z in draw(n=20))
    _, rows, columns = dense(x, y, False, 1.0)
    found = self_similarity_targets(x, y)
    assert torch.equal(found[0], rows)
    assert torch.equal(found[1], columns)


def test_identity_targets_are_clip():
    x, y = draw()
    torch.testing.assert_close(mnr_plus(x, y), clip(x, y, 1.0, normalize=False))
    rows, columns = self_similarity_targets(x, y, normalize=True)
    assert torch.equal(rows, torch.arange(6))
    if torch.equal(columns, torch.arange(6)):
        torch.testing.assert_close(
            mnr_plus(x, y, targets="self_similarity", normalize=True),
            mnr_plus(x, y, normalize=True),
        )


def test_stated_wrong_targets_without_normalisation():
    x = torch.tensor([[1.0, 0.0], [10.0, 1.0]])
    rows, columns = self_similarity_targets(x, x)
    assert rows.tolist() == [1, 1]
    assert columns.tolist() == [0, 1]


def test_one_long_embedding_breaks_most_row_targets():
    broken = 0
    for seed in range(60):
        x, y = (v.detach() for v in draw(seed=seed))
        x[0] *= 10
        broken += not torch.equal(self_similarity_targets(x, y)[0], torch.arange(6))
    assert 40 <= broken < 60


def test_floor_of_normalised_embeddings_at_temperature_one():
    n = 16
    simplex = torch.eye(n, dtype=torch.float64) - 1 / n
    wanted = math.log(1 + (n - 1) * math.exp(-n / (n - 1)))
    assert mnr(simplex, simplex, normalize=True).item() == pytest.approx(wanted)
    assert wanted == pytest.approx(1.82, abs=0.005)


def test_a_single_pair_has_no_loss_and_modules_agree():
    x, y = draw(n=1)
    for loss in (mnr(x, y), mnr_plus(x, y), mnr_plus(x, y, targets="self_similarity")):
        assert loss.abs() < 1e-14
    x, y = draw()
    assert torch.equal(MNR()(x, y), mnr(x, y))
    assert torch.equal(
        MNRPlus(0.5, targets="self_similarity")(x, y),
        mnr_plus(x, y, 0.5, targets="self_similarity"),
    )


def test_bad_settings_are_refused():
    x, y = draw()
    with pytest.raises(SettingError, match="targets"):
        mnr_plus(x, y, targets="nearest")
    with pytest.raises(SettingError, match="no meaning"):
        mnr_plus(x, y, targets="self_similarity", ids=torch.arange(6))
    with pytest.raises(SettingError, match="no meaning"):
        mnr_plus(x, y, targets="self_similarity", across_ranks=True)
    with pytest.raises(DataError):
        mnr_plus(x, y[:2], targets="self_similarity")


def test_routing_losses_are_their_formulas():
    torch.manual_seed(0)
    logits = torch.randn(3, 8, 4, requires_grad=True)
    p = logits[0].softmax(1)
    share = [(logits[0].argmax(1) == e).float().mean() for e in range(4)]
    torch.testing.assert_close(
        load_balance(logits[0]), 4 * sum(p[:, e].mean() * share[e] for e in range(4))
    )
    fields = torch.randint(4, (8,))
    torch.testing.assert_close(
        specified_expert(logits, fields), cross_entropy(logits.mean(0), fields)
    )
    assert load_balance(torch.eye(4) * 50).item() == pytest.approx(1)
    with pytest.raises(DataError):
        load_balance(logits)
    with pytest.raises(DataError):
        specified_expert(logits[0], fields)
