import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.whitenedcse import WhitenedCSE, whitenedcse


def draw(views=3, n=6, d=4):
    torch.manual_seed(views)
    return [torch.randn(n, d, dtype=torch.float64, requires_grad=True) for _ in range(views)]


@pytest.mark.parametrize("views", [2, 3, 4])
def test_is_a_sum_over_further_views(views):
    z = draw(views)
    total = 0.0
    for other in z[1:]:
        s = normalize(z[0], dim=1) @ normalize(other, dim=1).T / 0.1
        for i in range(6):
            total = total + (s[i].logsumexp(0) - s[i, i]) / 6
    found = whitenedcse(*z, temperature=0.1)
    torch.testing.assert_close(found, total)
    for a, b in zip(*(torch.autograd.grad(x, z) for x in (found, total)), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(WhitenedCSE(0.1)(*z), found)
    assert torch.autograd.gradcheck(lambda *x: whitenedcse(*x, temperature=0.5), z)


def test_two_views_are_info_nce_and_one_is_refused():
    a, b = draw(2)
    torch.testing.assert_close(whitenedcse(a, b), info_nce(a, b, 0.05))
    with pytest.raises(SettingError, match="2 views"):
        whitenedcse(a)
    with pytest.raises(DataError):
        whitenedcse(a, b, b[:3])
