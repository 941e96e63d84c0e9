from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.distant_peer import DistantPeer, distant_peer


def slow(
    z: Tensor, labels: Tensor, base: Tensor, trust: Tensor, t: float, peers: int, near: bool
) -> Tensor:
    """The definition, row by row."""
    z = torch.nn.functional.normalize(z, dim=1)
    b = torch.nn.functional.normalize(base, dim=1)
    losses = []
    for i in range(len(z)):
        if trust[i] < 0.5:
            continue
        others = [j for j in range(len(z)) if j != i and labels[j] == labels[i] and trust[j] >= 0.5]
        chosen = sorted(others, key=lambda j: (float(b[i] @ b[j]) * (-1 if near else 1), j))[:peers]
        if not chosen:
            continue
        negatives = [z[i] @ z[n] / t for n in range(len(z)) if labels[n] != labels[i]]
        each = [
            -z[i] @ z[p] / t + torch.stack([z[i] @ z[p] / t, *negatives]).logsumexp(0)
            for p in chosen
        ]
        losses.append(torch.stack(each).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("choice", ["distant", "near"])
@pytest.mark.parametrize("peers", [1, 2, 50])
def test_equals_the_definition_with_its_gradient(choice: Any, peers: int) -> None:
    torch.manual_seed(peers)
    z = torch.randn(24, 5, dtype=torch.double, requires_grad=True)
    base, labels = torch.randn(24, 7, dtype=torch.double), torch.arange(24) % 4
    trust = torch.rand(24)
    expected = slow(z, labels, base, trust, 0.2, peers, choice == "near")
    found = distant_peer(z, labels, 0.2, base=base, credibility=trust, peers=peers, choice=choice)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    grads = [torch.autograd.grad(loss, z)[0] for loss in (found, expected)]
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-12)


def test_near_peers_that_win_already_give_no_gradient() -> None:
    """The gradient with respect to s_ip is -(1 - softmax weight of p) / t."""
    z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [-0.6, 0.8]], dtype=torch.double)
    z.requires_grad_()
    labels = torch.tensor([0, 0, 1])
    loss = distant_peer(z, labels, 0.5, normalize=False, reduction="none")[0]
    loss.backward()
    weight = math.exp(0.8 / 0.5) / (math.exp(0.8 / 0.5) + math.exp(-0.6 / 0.5))
    expected = -(1 - weight) / 0.5 * z[0] + 0 * z[1]
    assert z.grad is not None
    torch.testing.assert_close(z.grad[1], expected.detach())


def test_no_peers_gives_zero_that_is_attached() -> None:
    z = torch.randn(3, 4, requires_grad=True)
    loss = distant_peer(z, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss == 0
    assert z.grad is not None
    assert not z.grad.any()


def test_one_class_gives_zero_and_unknown_labels_have_no_peers() -> None:
    z = torch.randn(4, 3)
    assert distant_peer(z, torch.zeros(4, dtype=torch.long)) == pytest.approx(0, abs=1e-6)
    each = distant_peer(z, torch.tensor([-1, -1, 0, 0]), reduction="none")
    assert each[:2].tolist() == [0, 0]
    assert (each[2:] > 0).all()


def test_module_and_function_agree() -> None:
    z, labels = torch.randn(8, 3), torch.arange(8) % 2
    module = DistantPeer(0.3, peers=1, choice="near")
    assert module(z, labels) == distant_peer(z, labels, 0.3, peers=1, choice="near")


def test_bad_arguments_are_named() -> None:
    z, labels = torch.randn(4, 3), torch.arange(4) % 2
    with pytest.raises(DataError, match="base has 3 rows"):
        distant_peer(z, labels, base=torch.randn(3, 3))
    with pytest.raises(SettingError, match="peers"):
        distant_peer(z, labels, peers=0)
    with pytest.raises(SettingError, match="distant"):
        distant_peer(z, labels, choice="distnt")  # type: ignore[arg-type]
