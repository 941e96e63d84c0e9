"""The same values and gradients as pytorch-metric-learning."""

import pytest
import torch

from counterpoint.objectives import functional as F

losses = pytest.importorskip("pytorch_metric_learning.losses")

LABELS = torch.tensor([0, 0, 1, 1, 2, 3, 0, 1])


def draw(rows=8):
    torch.manual_seed(0)
    return torch.randn(rows, 5, dtype=torch.float64, requires_grad=True)


def assert_alike(found, theirs, *leaves):
    torch.testing.assert_close(found, theirs, rtol=1e-9, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(found, leaves), torch.autograd.grad(theirs, leaves), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("settings", [(2, 50, 0.5), (5, 10, 1.0)])
def test_multi_similarity(settings):
    z = draw()
    alpha, beta, base = settings
    theirs = losses.MultiSimilarityLoss(*settings)(z, LABELS)
    assert_alike(F.multi_similarity(z, LABELS, alpha=alpha, beta=beta, base=base), theirs, z)


@pytest.mark.parametrize("settings", [(0.1, 32), (0.3, 5)])
def test_proxy_anchor(settings):
    z = draw()
    margin, alpha = settings
    peer = losses.ProxyAnchorLoss(6, 5, margin=margin, alpha=alpha).double()
    found = F.proxy_anchor(z, LABELS, peer.proxies, alpha=alpha, margin=margin)
    assert_alike(found, peer(z, LABELS), z, peer.proxies)


def test_nt_xent():
    z1, z2 = draw(), draw() + 0.3
    both = torch.cat([z1, z2])
    theirs = losses.NTXentLoss(temperature=0.2)(both, torch.arange(8).repeat(2))
    assert_alike(F.nt_xent(z1, z2, 0.2), theirs, z1)


def test_supcon():
    z, labels = draw(), torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    theirs = losses.SupConLoss(temperature=0.2)(z, labels)
    assert_alike(F.supcon(z, labels, 0.2), theirs, z)
