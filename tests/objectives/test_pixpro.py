import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.encoders.pixel_propagation import PixelPropagation
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.pixpro import PixContrast, PixPro, pixcontrast, pixpro
from counterpoint.pairs.cells import cell_centres, matching_cells


def draw():
    torch.manual_seed(0)
    maps = [torch.randn(3, 4, 3, 2, dtype=torch.float64) for _ in range(2)]
    pairs = torch.rand(3, 6, 6) < 0.3
    pairs[1] = False
    return maps[0].requires_grad_(), maps[1], pairs


def test_both_equal_a_loop():
    q, k, pairs = draw()
    a, c = (normalize(x.flatten(2), dim=1).mT for x in (q, k))
    agreement, contrast = [], []
    for n in range(3):
        s = a[n] @ c[n].T
        agreement.append(-2 * s[pairs[n]].sum() / (pairs[n].sum() + 1e-6))
        rows = [
            -((s[i][pairs[n, i]] / 0.3).exp().sum() / (s[i] / 0.3).exp().sum()).log()
            for i in range(6)
            if pairs[n, i].any()
        ]
        if rows:
            contrast.append(torch.stack(rows).mean())
    torch.testing.assert_close(pixpro(q, k, pairs), torch.stack(agreement).mean())
    torch.testing.assert_close(pixcontrast(q, k, pairs), torch.stack(contrast).mean())
    for loss in (pixpro, pixcontrast):
        assert torch.autograd.gradcheck(lambda x, f=loss: f(x, k, pairs), q)


def test_no_overlap_gives_zero():
    q, k, pairs = draw()
    for loss in (pixpro, pixcontrast):
        value = loss(q, k, pairs & False)
        assert value == 0
        assert (torch.autograd.grad(value, q)[0] == 0).all()
    far = matching_cells(torch.tensor([[0, 0, 0.2, 0.2]]), torch.tensor([[0.8, 0.8, 1, 1]]), (7, 7))
    assert not far.any()


def test_identical_square_views_match_cell_by_cell_and_range():
    box = torch.tensor([[0.1, 0.2, 0.6, 0.7]], dtype=torch.float64)
    pairs = matching_cells(box, box, (7, 7))
    assert torch.equal(pairs[0], torch.eye(49, dtype=torch.bool))
    x = torch.randn(1, 5, 7, 7)
    assert pixpro(x, x, pairs).item() == pytest.approx(-2, rel=1e-5)
    assert pixpro(x, -x, pairs).item() == pytest.approx(2, rel=1e-5)


def test_a_flip_permutes_the_columns_and_leaves_the_loss():
    torch.manual_seed(0)
    one = torch.tensor([[0.0, 0.0, 0.8, 0.9]])
    two = torch.tensor([[0.1, 0.2, 0.9, 1.0]])
    flipped = two[:, [2, 1, 0, 3]]
    pairs, mirrored = (matching_cells(one, box, (4, 4)) for box in (two, flipped))
    order = torch.arange(16).view(4, 4).flip(1).flatten()
    assert torch.equal(mirrored, pairs[:, :, order])
    q, k = torch.randn(2, 1, 3, 4, 4)
    torch.testing.assert_close(pixpro(q, k, pairs), pixpro(q, k.flip(3), mirrored))
    centres, diagonal = cell_centres(two, 4, 4)
    reach = 0.7 * max(diagonal.item(), cell_centres(one, 4, 4)[1].item())
    apart = torch.cdist(cell_centres(one, 4, 4)[0], centres)
    assert (apart[pairs] < reach).all()
    assert pairs.any()


def test_propagation():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    sharp = normalize(PixelPropagation(4, 1e5, layers=0)(x), dim=1)
    torch.testing.assert_close(sharp, normalize(x, dim=1))
    flat = torch.ones(1, 4, 3, 3)
    even = normalize(PixelPropagation(4, layers=0)(flat), dim=1)
    torch.testing.assert_close(even, normalize(flat, dim=1))
    zero = torch.zeros(1, 4, 2, 2, requires_grad=True)
    for gamma in (0.5, 2.0):
        PixelPropagation(4, gamma)(zero).sum().backward()
        assert torch.isfinite(zero.grad).all()
    assert PixelPropagation(4, layers=2)(torch.randn(2, 4, 3, 3)).shape == (2, 4, 3, 3)
    unit = normalize(x.flatten(2), dim=1)
    weights = (unit.mT @ unit).clamp(min=0.3) ** 2
    wanted = (unit @ weights.mT).view_as(x)
    torch.testing.assert_close(PixelPropagation(4, layers=0, clamp=0.3)(x), wanted)
    with pytest.raises(SettingError, match="gamma"):
        PixelPropagation(4, 0.0)
    with pytest.raises(SettingError, match="clamp"):
        PixelPropagation(4, clamp=1.0)


def test_modules_and_bad_input():
    q, k, pairs = draw()
    assert torch.equal(PixPro()(q, k, pairs), pixpro(q, k, pairs))
    assert torch.equal(
        PixContrast(temperature=1.0)(q, k, pairs), pixcontrast(q, k, pairs, temperature=1.0)
    )
    with pytest.raises(DataError, match="bool"):
        pixpro(q, k, pairs.float())
    with pytest.raises(DataError, match="row 0"):
        pixpro(q * torch.nan, k, pairs)
    with pytest.raises(DataError, match="one shape"):
        pixpro(q, k[:2], pairs)
    with pytest.raises(SettingError, match="threshold"):
        matching_cells(torch.rand(1, 4), torch.rand(1, 4), (2, 2), 0.0)
