"""The same values and gradients as the losses of other libraries."""

import pytest
import torch
from peer_losses import PAIRS


@pytest.mark.parametrize("pair", PAIRS, ids=lambda one: one.name)
def test_the_same_value_and_gradients(pair):
    pytest.importorskip(pair.module)
    leaves = pair.draw(16, 5, torch.float64 if pair.double else torch.float32)
    theirs, ours = (step(*leaves) for step in pair.steps(16, 5, classes=3))
    close = {"rtol": 1e-9, "atol": 1e-11} if pair.double else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(ours, theirs, **close)
    wanted = torch.autograd.grad(theirs, leaves)
    torch.testing.assert_close(torch.autograd.grad(ours, leaves), wanted, **close)
