import math

import numpy as np
import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry import (
    alignment,
    effective_rank,
    local_separation,
    penalty_entropy,
    relative_penalty,
    score_histogram,
    tolerance,
)


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment_equals_the_plain_loop(alpha: float) -> None:
    a, b = torch.randn(8, 4, dtype=torch.float64), torch.randn(8, 4, dtype=torch.float64)
    pairs = zip(unit(a), unit(b), strict=True)
    expected = sum(float((p - q).norm()) ** alpha for p, q in pairs) / 8
    assert float(alignment(a, b, alpha)) == pytest.approx(expected)


def test_alignment_of_equal_views_is_zero_and_of_opposite_ones_four() -> None:
    x = torch.randn(1, 3)
    assert float(alignment(x, 5 * x)) == pytest.approx(0, abs=1e-12)
    assert float(alignment(x, -x)) == pytest.approx(4)


@pytest.mark.parametrize("alpha", [1.0, 1.5])
def test_alignment_has_no_gradient_where_views_agree(alpha: float) -> None:
    a = torch.tensor([[1.0, 2.0], [0.0, 1.0]], requires_grad=True)
    b = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    (gradient,) = torch.autograd.grad(alignment(a, b, alpha, normalize=False), a)
    assert torch.equal(gradient[0], torch.zeros(2))
    assert float(gradient[1, 1]) == pytest.approx(-alpha * 2 ** (alpha - 1) / 2)


def test_alignment_refuses_other_rows() -> None:
    with pytest.raises(DataError, match="two views"):
        alignment(torch.randn(3, 2), torch.randn(4, 2))
    with pytest.raises(SettingError, match="alpha"):
        alignment(torch.randn(3, 2), torch.randn(3, 2), alpha=0)


def tolerance_by_loops(x: torch.Tensor, y: list[int], over: str) -> float:
    total, same, pairs = 0.0, 0, 0
    for i in range(len(y)):
        for j in range(len(y)):
            if i == j or y[i] < 0 or y[j] < 0:
                continue
            pairs += 1
            if y[i] == y[j]:
                same += 1
                total += float(x[i] @ x[j])
    return total / (same if over == "same-class" else pairs)


@pytest.mark.parametrize("over", ["same-class", "all"])
def test_tolerance_equals_the_plain_loop(over) -> None:
    x = torch.randn(30, 6, dtype=torch.float64)
    y = [i % 5 - 1 for i in range(29)] + [900]
    expected = tolerance_by_loops(unit(x), y, over)
    assert float(tolerance(x, y, over)) == pytest.approx(expected, abs=1e-12)


def test_tolerance_has_a_gradient() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: tolerance(z, [0, 0, 1, 1, 1, 2]), (x,))


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 2], "No two rows"), ([0, 0], "shape"), ([0.0, 0.0, 1.0], "whole numbers")],
)
def test_tolerance_refuses_labels_that_do_not_fit(labels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tolerance(torch.randn(3, 2), labels)


def test_tolerance_refuses_other_pairs() -> None:
    with pytest.raises(SettingError, match="over"):
        tolerance(torch.randn(3, 2), [0, 0, 0], over="same")  # type: ignore[arg-type]


def test_effective_rank_of_known_spectra() -> None:
    assert float(effective_rank(torch.eye(5))) == pytest.approx(5, rel=1e-5)
    line = torch.outer(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1.0, 1.0]))
    assert float(effective_rank(line)) == pytest.approx(1, abs=1e-4)
    assert float(effective_rank(torch.ones(1, 4))) == pytest.approx(1)
    shares = torch.tensor([0.5, 0.25, 0.25])
    expected = math.exp(-sum(float(p) * math.log(p) for p in shares))
    value = effective_rank(torch.diag(4 * shares), normalize=False)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_effective_rank_centred_ignores_a_common_offset() -> None:
    x = torch.randn(50, 4, dtype=torch.float64)
    plain = effective_rank(x - x.mean(dim=0), normalize=False)
    moved = effective_rank(x + 100, center=True, normalize=False)
    torch.testing.assert_close(moved, plain)
    assert float(effective_rank(x + 100, normalize=False)) < 1.5


def test_effective_rank_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no effective rank"):
        effective_rank(torch.zeros(3, 2), normalize=False)
    with pytest.raises(DataError, match="no effective rank"):
        effective_rank(torch.ones(3, 2, dtype=torch.float64), center=True, normalize=False)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
def test_relative_penalty_is_the_gradient_ratio(temperature: float) -> None:
    s = torch.rand(4, 9, dtype=torch.float64).mul(2).sub(1).requires_grad_()
    logits = s / temperature
    loss = (logits.logsumexp(dim=1) - logits[:, 0]).sum()  # column 0 is the positive
    (grad,) = torch.autograd.grad(loss, s)
    ratio = grad[:, 1:].abs() / grad[:, :1].abs()
    torch.testing.assert_close(relative_penalty(s[:, 1:], temperature), ratio)
    torch.testing.assert_close(ratio.sum(dim=1), torch.ones(4, dtype=torch.float64))


def test_penalty_entropy_grows_with_temperature_up_to_log_m() -> None:
    s = torch.rand(6, 20)
    entropies = torch.stack([penalty_entropy(s, t) for t in (0.05, 0.1, 0.3, 1.0, 1e4)])
    assert (entropies.diff(dim=0) > 0).all()
    torch.testing.assert_close(entropies[-1], torch.full((6,), math.log(20)))
    torch.testing.assert_close(penalty_entropy(torch.ones(1, 8), 0.05)[0], torch.tensor(8.0).log())


def test_hard_penalty_keeps_the_upper_fraction() -> None:
    s = torch.randperm(100).float().reshape(1, 100) / 100
    share = relative_penalty(s, 1.0, alpha=0.07)
    assert int((share > 0).sum()) == 7
    torch.testing.assert_close(share[s >= 0.93].sum(), torch.tensor(1.0))
    assert int((relative_penalty(s, 1.0, alpha=0.001) > 0).sum()) == 1


def test_hardness_refuses_settings_out_of_range() -> None:
    with pytest.raises(SettingError, match="temperature"):
        relative_penalty(torch.ones(1, 2), 0)
    with pytest.raises(SettingError, match="alpha"):
        relative_penalty(torch.ones(1, 2), 1, alpha=1.5)
    with pytest.raises(DataError, match="no column"):
        relative_penalty(torch.ones(2, 0), 1)


def test_local_separation_equals_the_plain_loop() -> None:
    a, b = unit(torch.randn(15, 4)), unit(torch.randn(15, 4))
    a[3], b[7] = b[5], b[5]  # ties, and a negative equal to the anchor
    s = a @ b.T
    nearest = torch.stack(
        [torch.cat([s[i, :i], s[i, i + 1 :]]).sort(descending=True).values[:10] for i in range(15)]
    )
    found = local_separation(a, b)
    assert found["positive"] == pytest.approx(float(s.diagonal().mean()), abs=1e-6)
    np.testing.assert_allclose(found["negatives"], nearest.mean(dim=0).numpy(), atol=1e-6)
    with pytest.raises(SettingError, match="N - 1 = 14"):
        local_separation(a, b, top=15)


def test_histogram_of_views() -> None:
    a = unit(torch.randn(200, 6))
    b = unit(a + 0.1 * torch.randn(200, 6))
    found = score_histogram(a, b, bins=20, pairs=20_000)
    assert sum(found["positive"]) == 200
    assert sum(found["negative"]) == 20_000
    assert len(found["edges"]) == 21
    assert found["positive_mean"] == pytest.approx(float((a * b).sum(dim=1).mean()), abs=1e-6)
    s = a @ b.T
    others = (s.sum() - s.diagonal().sum()) / (200 * 199)
    assert found["negative_mean"] == pytest.approx(float(others), abs=0.02)
    assert found["overlap"] < 0.2
    assert found == score_histogram(a, b, bins=20, pairs=20_000)


def test_histogram_of_labels_draws_the_right_pairs() -> None:
    labels = torch.tensor([3, 0, 3, -1, 1, 0, 3, 1, 9])  # 9 alone, -1 missing
    codes = {3: 0, 0: 1, 1: 2, 9: 3, -1: 4}
    z = torch.eye(5)[[codes[int(y)] for y in labels]]
    found = score_histogram(z, labels=labels, bins=2, pairs=5000)
    assert found["positive"] == [0, 5000]  # one label, one direction: cosine 1
    assert found["positive_mean"] == 1
    assert found["negative_mean"] == 0


def test_histogram_of_labels_never_pairs_a_row_with_itself() -> None:
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    found = score_histogram(z, labels=[0, 0, 1], bins=2, pairs=500)
    assert found["positive_mean"] == -1


def test_histogram_draws_every_partner_equally_often() -> None:
    directions = torch.tensor([[1.0, 0.0], [0.9, 0.436], [0.1, 0.995], [-0.7, 0.714], [-1.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 1, 1])
    found = score_histogram(directions, labels=labels, pairs=200_000)
    z = unit(directions)
    s = z @ z.T
    same = (s[0, 1] + s[0, 2] + s[1, 2]) / 3 * 3 / 5 + s[3, 4] * 2 / 5  # i uniform over five rows
    different = s[:3, 3:].mean()
    assert found["positive_mean"] == pytest.approx(float(same), abs=0.01)
    assert found["negative_mean"] == pytest.approx(float(different), abs=0.01)


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 0, 0], "no negative pair"), ([0, 1, 2], "no positive pair")]
)
def test_histogram_without_a_kind_of_pair_is_refused(labels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_histogram(torch.randn(3, 2), labels=labels)


def test_histogram_wants_one_kind_of_positives() -> None:
    with pytest.raises(SettingError, match="either"):
        score_histogram(torch.randn(3, 2))
