"""DCL in one batch: what leaves the denominator, at small temperatures and with one sample."""

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint import methods


@pytest.fixture
def build(encoder_of):
    return lambda **arguments: methods.build("dcl", encoder_of("images"), **arguments)


def loss(method, z1, z2):
    return method.contrast({"z1": z1, "z2": z2}, None)["loss"]


@pytest.mark.parametrize("temperature", [0.005, 0.1])
def test_positive_and_own_similarity_are_left_out_at_any_temperature(build, temperature):
    """An additive mask would leak at the smaller one, where 1/t is twice its size."""
    torch.manual_seed(0)
    z1, z2 = (normalize(torch.randn(6, 8, dtype=torch.float64), dim=1) for _ in range(2))
    expected = []
    for a, b in ((z1, z2), (z2, z1)):
        for i in range(6):
            others = [j for j in range(6) if j != i]
            logits = torch.cat([a[others] @ a[i], b[others] @ a[i]]) / temperature
            expected.append(logits.logsumexp(0) - a[i] @ b[i] / temperature)
    found = loss(build(temperature=temperature), z1, z2)
    torch.testing.assert_close(found, torch.stack(expected).mean())


@pytest.mark.parametrize("weighted", [False, True])
def test_length_of_embeddings_does_not_count(build, weighted):
    method = build(weighted=weighted)
    z1, z2 = torch.randn(6, 8), torch.randn(6, 8)
    torch.testing.assert_close(loss(method, 50 * z1, 0.01 * z2), loss(method, z1, z2))


@pytest.mark.parametrize("weighted", [False, True])
def test_zero_and_equal_embeddings_are_finite(build, weighted):
    method = build(weighted=weighted)
    for z in (torch.zeros(4, 8), torch.ones(4, 8)):
        leaf = z.requires_grad_()
        found = loss(method, leaf, leaf)
        found.backward()
        assert found.isfinite()
        assert leaf.grad.isfinite().all()


def test_an_easy_positive_is_pulled_at_full_strength(build, encoder_of):
    """The gradient of the positive's similarity is -1/t however close the pair is."""
    z = normalize(torch.eye(4, 8) + 0.1, dim=1).requires_grad_()
    away = z.detach().clone()
    pull = []
    for name in ("dcl", "simclr"):
        method = methods.build(name, encoder_of("images"), temperature=0.1)
        (grad,) = torch.autograd.grad(loss(method, z, away), z)
        pull.append(float(grad.norm()))
    assert pull[0] > 10 * pull[1]
