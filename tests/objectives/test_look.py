import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.contrast import contrast
from counterpoint.objectives.look import LOOK, look, neighbours_at
from counterpoint.objectives.supcon import supcon
from counterpoint.pairs.same_label import SameLabel

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 0, 3])


def draw(n=8, seed=0):
    torch.manual_seed(seed)
    return torch.randn(n, 4, dtype=torch.float64, requires_grad=True)


def loop(z, k, empty, t=0.2):
    z, losses = normalize(z, dim=1), []
    for i in range(8):
        s = z @ z[i] / t
        rest = sorted((j for j in range(8) if j != i), key=lambda j: -s[j].item())
        near = rest[:k]
        friends = [j for j in near if LABELS[j] == LABELS[i]]
        if empty == "eps":
            share = sum((s[j] - s[near].logsumexp(0)).exp() for j in friends) + 0 * s.sum()
            losses.append(-(share + 1e-6).log())
            continue
        if not friends and empty == "nearest":
            friends = [j for j in rest if LABELS[j] == LABELS[i]][:1]
            near = near[:-1] + friends
        if friends:
            losses.append(s[near].logsumexp(0) - s[friends].logsumexp(0))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("k", [2, 3, 5, 50])
@pytest.mark.parametrize("empty", ["nearest", "skip", "eps"])
def test_is_a_loop(k, empty):
    z = draw()
    found, wanted = look(z, LABELS, temperature=0.2, k=k, empty=empty), loop(z, k, empty)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(LOOK(0.2, k=k, empty=empty)(z, LABELS), found)
    for a, b in zip(*(torch.autograd.grad(x, z) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda x: look(x, LABELS, k=k, empty=empty), [z])


def test_gradient_in_the_scores():
    torch.manual_seed(1)
    scores = torch.randn(1, 6, dtype=torch.float64, requires_grad=True)
    bank, labels = torch.eye(6, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 0, 2])
    loss = look(scores, torch.tensor([0]), bank, labels, 0.5, k=4, empty="skip", normalize=False)
    (grad,) = torch.autograd.grad(loss, scores)
    s = scores[0].detach() / 0.5
    near = torch.zeros(6, dtype=torch.bool)
    near[s.topk(4).indices] = True
    p = s.masked_fill(~near, -torch.inf).softmax(0)
    r = s.masked_fill(~(near & (labels == 0)), -torch.inf).softmax(0)
    torch.testing.assert_close(grad[0], (p - r) / 0.5)
    assert grad.sum().abs() < 1e-12
    assert (grad[0][~near] == 0).all()


def test_all_candidates_are_the_sum_inside_the_logarithm():
    z, labels = draw(), LABELS[:6]
    z = z[:6].detach()
    wanted = contrast(
        z,
        z,
        0.1,
        positive=SameLabel(labels),
        valid=lambda i, j: i != j,
        aggregate="log_sum",
    )
    torch.testing.assert_close(look(z, labels, k=99), wanted)


def test_two_modes_of_a_class_cost_nothing():
    torch.manual_seed(0)
    centres = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    z = centres.repeat_interleave(8, 0) + 0.01 * torch.randn(32, 3)
    labels = torch.tensor([0, 0, 1, 1]).repeat_interleave(8)
    assert look(z, labels, k=5) < 1e-3
    assert supcon(z, labels, 0.1) > 2


def test_own_sample_is_left_out_by_id():
    z = draw().detach()
    bank = torch.cat([z, z + 0.1])
    ids, labels = torch.arange(8), LABELS.repeat(2)
    found = look(z, LABELS, bank, labels, k=4, ids=ids, bank_ids=ids.repeat(2), reduction="none")
    for i in range(8):
        kept = (ids.repeat(2) != i).nonzero().flatten()
        alone = look(z[i : i + 1], LABELS[i : i + 1], bank[kept], labels[kept], k=4)
        torch.testing.assert_close(found[i], alone)


def test_bank_is_constant():
    z, bank = draw(), draw(seed=1)
    loss = look(z, LABELS, bank, LABELS, k=3)
    assert torch.autograd.grad(loss, bank, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(loss, z)[0].abs().max() > 0


def test_collapse_and_classes_of_one():
    z, labels = torch.ones(12, 3), torch.arange(12) % 3
    assert look(z, labels, k=99).item() == pytest.approx(math.log(11 / 3), abs=1e-5)
    z = draw()
    loss = look(z, torch.arange(8))
    assert loss == 0
    assert torch.autograd.grad(loss, z)[0].abs().max() == 0
    z = draw()
    eps = look(z, torch.arange(8), empty="eps")
    assert eps.item() == pytest.approx(-math.log(1e-6))
    assert torch.autograd.grad(eps, z)[0].abs().max() == 0


def test_schedule():
    assert [neighbours_at(p, 20) for p in (0, 0.25, 0.5, 1)] == [200, 110, 20, 20]
    with pytest.raises(SettingError):
        neighbours_at(2.0)


def test_bad_inputs_are_refused():
    z = draw()
    with pytest.raises(SettingError, match="k must"):
        look(z, LABELS, k=1)
    with pytest.raises(SettingError, match="empty"):
        look(z, LABELS, empty="zero")
    with pytest.raises(DataError, match="bank_labels"):
        look(z, LABELS, z)
    with pytest.raises(DataError, match="labels"):
        look(z, LABELS[:3])
