import math

import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.objectives.bpr import BPR, bpr, embedding_penalty


def test_is_its_formula():
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, dtype=torch.float64, requires_grad=True).unbind()
    wanted = [math.log1p(math.exp(y - x)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert bpr(a, b, reduction="none").tolist() == pytest.approx(wanted)
    assert torch.equal(BPR()(a, b), bpr(a, b))
    assert torch.autograd.gradcheck(
        bpr, [torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    )
    assert bpr(torch.tensor([-900.0]), torch.tensor([100.0])) == 1000


def test_penalty_is_the_mean_squared_length():
    x, y = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    assert embedding_penalty(x, y) == 12.5 + 3.0


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="NaN"):
        bpr(torch.tensor([float("nan")]), torch.tensor([0.0]))
    with pytest.raises(DataError, match="nothing"):
        embedding_penalty()
