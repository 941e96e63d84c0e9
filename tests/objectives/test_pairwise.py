import math

import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.objectives.pairwise import pairwise_loss

U = torch.tensor([-800.0, -3.0, -0.2, 0.0, 0.7, 4.0, 900.0], dtype=torch.float64)


def test_forms_are_their_formulas():
    assert pairwise_loss(U)[:1].item() == 800.0
    for u, loss in zip(U[1:].tolist(), pairwise_loss(U)[1:].tolist(), strict=True):
        assert loss == pytest.approx(math.log1p(math.exp(-u)), rel=1e-12)
    assert torch.equal(pairwise_loss(U, "squared", margin=0.5), (U - 0.5) ** 2)
    assert torch.equal(pairwise_loss(U, "hinge", margin=1.0), torch.relu(1 - U))


def test_smoothing_mixes_both_ways():
    mixed = pairwise_loss(U, label_smoothing=0.1)
    torch.testing.assert_close(mixed, 0.9 * pairwise_loss(U) + 0.1 * pairwise_loss(-U))
    torch.testing.assert_close(
        pairwise_loss(U, label_smoothing=0.5), pairwise_loss(-U, label_smoothing=0.5)
    )


def test_floor_bounds_the_loss():
    loss = pairwise_loss(U, floor=1e-8)
    wanted = -torch.log(torch.sigmoid(U) + 1e-8)
    torch.testing.assert_close(loss, wanted, rtol=1e-9, atol=1e-15)
    assert loss.max().item() == pytest.approx(-math.log(1e-8))


@pytest.mark.parametrize(
    "settings",
    [
        {"margin": 0.3},
        {"form": "squared", "margin": 1.0},
        {"floor": 1e-2},
        {"label_smoothing": 0.2},
    ],
)
def test_gradients(settings):
    u = U[1:-1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda u: pairwise_loss(u, **settings), u)


def test_half_precision_agrees():
    u = torch.linspace(-8, 8, 9)
    for dtype in (torch.float16, torch.bfloat16):
        found = pairwise_loss(u.to(dtype)).float()
        torch.testing.assert_close(found, pairwise_loss(u), rtol=1e-2, atol=1e-2)


def test_wrong_settings_are_refused():
    for settings in (
        {"form": "cubic"},
        {"label_smoothing": 0.6},
        {"floor": -1.0},
        {"form": "hinge", "floor": 0.1},
    ):
        with pytest.raises(SettingError):
            pairwise_loss(U, **settings)
