import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import ProxyAnchor
from counterpoint.objectives import functional as F

LABELS = torch.tensor([0, 0, 1, 1, 2, -1, 0, -1])


def draw():
    torch.manual_seed(0)
    z, prototypes = torch.randn(8, 5).double(), torch.randn(4, 5).double()
    return z.requires_grad_(), prototypes.requires_grad_()


def loop(z, prototypes, alpha, margin):
    near, far = [], []
    for c, p in enumerate(normalize(prototypes, dim=1)):
        s = normalize(z, dim=1) @ p
        own = [s[i] for i in range(8) if LABELS[i] == c]
        others = [s[i] for i in range(8) if LABELS[i] not in (c, -1)]
        if own:
            near.append((-alpha * (torch.stack(own) - margin)).exp().sum().log1p())
        far.append((alpha * (torch.stack(others) + margin)).exp().sum().log1p())
    return sum(near) / len(near) + sum(far) / len(far)


@pytest.mark.parametrize(("alpha", "margin"), [(32.0, 0.1), (3.0, 0.5)])
def test_is_a_loop(alpha, margin):
    z, prototypes = draw()
    want = loop(z, prototypes, alpha, margin)
    found = ProxyAnchor(alpha=alpha, margin=margin)(z, LABELS, prototypes)
    torch.testing.assert_close(found, want)
    leaves = [z, prototypes]
    for a, b in zip(*(torch.autograd.grad(x, leaves) for x in (found, want)), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda x, c: F.proxy_anchor(x, LABELS, c, alpha=3), leaves)


def test_no_known_row_gives_a_defined_value():
    z, prototypes = draw()
    loss = F.proxy_anchor(z, -torch.ones(8).long(), prototypes)
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, z)[0] == 0).all()


@pytest.mark.parametrize("alpha", [0.1, 3000.0])
def test_extremes_zero_vectors_and_half_precision(alpha):
    z, prototypes = (x.detach().float() for x in draw())
    z[2] = prototypes[1] = 0
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        leaf = z.to(dtype).requires_grad_()
        loss = F.proxy_anchor(leaf, LABELS, prototypes.to(dtype), alpha=alpha)
        assert torch.isfinite(torch.autograd.grad(loss, leaf)[0]).all()


def test_what_does_not_fit_is_refused():
    z, prototypes = draw()
    with pytest.raises(DataError, match=r"0\.\.3"):
        F.proxy_anchor(z, LABELS + 2, prototypes)
    with pytest.raises(DataError, match="width"):
        F.proxy_anchor(z, LABELS, prototypes[:, :3])
    with pytest.raises(SettingError, match="alpha"):
        F.proxy_anchor(z, LABELS, prototypes, alpha=0)
