import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError
from counterpoint.geometry.utilization import utilization


def test_is_a_loop_and_falls_with_more_points():
    torch.manual_seed(0)
    q, x = torch.randn(5, 3).double(), torch.randn(8, 3).double()
    a, b = normalize(q, dim=1), normalize(x, dim=1)
    wanted = sum(min(float((u - v).square().sum()) for v in b) for u in a) / 5
    assert utilization(q, x).item() == pytest.approx(wanted)
    values = [utilization(q, x[:m]).item() for m in range(1, 9)]
    assert values == sorted(values, reverse=True)
    assert utilization(x, x).item() == pytest.approx(0, abs=1e-12)
    assert utilization(x, -x[:1]).item() <= 4
    with pytest.raises(DataError, match="width"):
        utilization(q, x[:, :2])
