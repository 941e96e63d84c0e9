import math

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import log_probabilities
from counterpoint.objectives.log_probabilities import (
    active_tokens,
    check_log_probabilities,
    log_one_minus,
    sequence_log_probability,
)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(4, 6, 7, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(7, (4, 6))
    labels[1, 4:] = labels[2, :3] = labels[3] = -100
    return logits, labels


def by_hand(logits, labels, reduction, shifted):
    out = []
    for row, wanted in zip(logits, labels, strict=True):
        aligned = (
            zip(row, wanted, strict=True) if shifted else zip(row[:-1], wanted[1:], strict=True)
        )
        parts = [row.log_softmax(0)[y] for row, y in aligned if y != -100]
        total = sum(parts, row.sum() * 0)
        out.append(total / max(len(parts), 1) if reduction == "mean" else total)
    return torch.stack(out)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("tokens", [1, 5, 1000])
def test_equals_a_loop_over_tokens(batch, monkeypatch, reduction, shifted, tokens):
    monkeypatch.setattr(log_probabilities, "CHUNK_NUMBERS", tokens * 7)
    logits, labels = batch
    found = sequence_log_probability(logits, labels, reduction=reduction, shifted=shifted)
    wanted = by_hand(logits, labels, reduction, shifted)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(4, dtype=torch.float64)
    (a,) = torch.autograd.grad(found @ upstream, logits)
    (b,) = torch.autograd.grad(wanted @ upstream, logits)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_head_gives_the_same_without_logits(batch):
    _, labels = batch
    hidden = torch.randn(4, 6, 3, dtype=torch.float64, requires_grad=True)
    head = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    found = sequence_log_probability(hidden, labels, head=head)
    wanted = sequence_log_probability(hidden @ head.T, labels)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(
        torch.autograd.grad(found.sum(), [hidden, head]),
        torch.autograd.grad(wanted.sum(), [hidden, head]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_holds_nothing_of_the_size_of_the_vocabulary():
    hidden = torch.randn(2, 64, 4, requires_grad=True)
    head = torch.randn(5000, 4, requires_grad=True)
    labels = torch.randint(5000, (2, 64))
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.numel()) or x, lambda x: x
    ):
        sequence_log_probability(hidden, labels, head=head)
    assert max(sizes) <= head.numel()


def test_no_active_token_is_zero_without_gradient(batch):
    logits, labels = batch
    for reduction in ("sum", "mean"):
        value = sequence_log_probability(logits, labels, reduction=reduction)[3]
        assert value == 0
        assert torch.autograd.grad(value, logits)[0].abs().max() == 0
    assert active_tokens(labels).tolist() == [5, 3, 3, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(batch, dtype):
    logits, labels = batch
    half = logits.detach().to(dtype)
    found = sequence_log_probability(half, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, sequence_log_probability(half.float(), labels))


def test_bad_input_is_refused(batch):
    logits, labels = batch
    with pytest.raises(DataError, match=r"0\.\.6 or -100"):
        sequence_log_probability(logits, labels.clamp(min=0) + 7)
    with pytest.raises(DataError, match="labels"):
        sequence_log_probability(logits, labels[:, :3])
    with pytest.raises(DataError, match="whole numbers"):
        sequence_log_probability(logits, labels.double())
    with pytest.raises(DataError, match="head"):
        sequence_log_probability(logits, labels, head=torch.ones(3, 3))
    with pytest.raises(SettingError, match="reduction"):
        sequence_log_probability(logits, labels, reduction="max")


def test_log_one_minus_keeps_its_digits():
    log_p = torch.tensor([-1e-7, -1e-3, -0.5, -0.7, -5.0, -40.0, -1000.0], dtype=torch.float64)
    wanted = [math.log(-math.expm1(x)) for x in log_p[:4].tolist()]
    torch.testing.assert_close(
        log_one_minus(log_p)[:4], torch.tensor(wanted, dtype=torch.float64), rtol=1e-11, atol=0
    )
    assert log_one_minus(log_p)[5] == -torch.exp(torch.tensor(-40.0, dtype=torch.float64))
    assert log_one_minus(log_p)[6] == 0
    certain = log_one_minus(torch.tensor([0.0, -1e-9]))
    torch.testing.assert_close(certain, torch.full((2,), -18.42068))
    values = log_p[1:6].clone().requires_grad_()
    assert torch.autograd.gradcheck(log_one_minus, values)


def test_log_probabilities_are_checked():
    good = torch.tensor([-1.0, -2.0])
    check_log_probabilities(a=good, b=good)
    with pytest.raises(DataError, match="shape of a"):
        check_log_probabilities(a=good, b=good[:1])
    with pytest.raises(DataError, match=r"b has 1 of 2 .* NaN or infinite.*row 1"):
        check_log_probabilities(a=good, b=torch.tensor([-1.0, float("nan")]))
    with pytest.raises(DataError, match="above 0"):
        check_log_probabilities(at_most_zero=True, a=-good)
    with pytest.raises(DataError, match="int64"):
        check_log_probabilities(a=good.long())
