import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.marginal_entropy import (
    TFUPT,
    MarginalEntropy,
    marginal_entropy,
    tfup_t,
)


def draw():
    torch.manual_seed(0)
    return [3 * torch.randn(8, 4, dtype=torch.float64) for _ in range(2)]


def test_is_minus_the_entropy_of_the_mean():
    logits = draw()[0].requires_grad_()
    mean = logits.softmax(1).mean(0)
    wanted = sum(m * (m + 1e-6).log() for m in mean)
    torch.testing.assert_close(marginal_entropy(logits), wanted)
    assert torch.autograd.gradcheck(marginal_entropy, logits)
    assert marginal_entropy(torch.zeros(3, 4)).item() == pytest.approx(-math.log(4), abs=1e-5)
    assert marginal_entropy(torch.eye(4) * 99).item() == pytest.approx(-math.log(4), abs=1e-5)
    assert marginal_entropy(torch.tensor([[99.0, 0, 0]])).abs() < 1e-5


def test_pseudo_labels_of_confident_rows():
    strong, weak = draw()
    strong.requires_grad_()
    weak.requires_grad_()
    p = weak.softmax(1)
    sure = p.amax(1) > 0.8
    assert 0 < sure.sum() < 8
    wanted = cross_entropy(strong[sure], p.argmax(1)[sure]) + 0.3 * marginal_entropy(strong)
    found = tfup_t(strong, weak, threshold=0.8)
    torch.testing.assert_close(found, wanted)
    assert torch.autograd.grad(found, weak, allow_unused=True) == (None,)
    torch.testing.assert_close(TFUPT(threshold=0.8)(strong, weak), found)
    assert torch.equal(MarginalEntropy()(strong), marginal_entropy(strong))


def test_no_confident_row_leaves_the_entropy():
    strong, weak = draw()
    torch.testing.assert_close(tfup_t(strong, 0 * weak), 0.3 * marginal_entropy(strong))


def test_bad_input_is_refused():
    strong, weak = draw()
    with pytest.raises(DataError, match="infinity"):
        marginal_entropy(strong * math.nan)
    with pytest.raises(DataError, match="agree"):
        tfup_t(strong, weak[:2])
    with pytest.raises(SettingError):
        tfup_t(strong, weak, threshold=1.0)
