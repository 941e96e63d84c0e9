import math

import pytest
import torch
from torch.nn.functional import cross_entropy, softplus

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.ar2 import (
    AR2Ranker,
    AR2Retriever,
    ar2_ranker,
    ar2_retriever,
    player,
    ranker_reward,
)


def draw(b=3, n=5, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(b, n, dtype=torch.float64, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize("how", ["sum", "mean"])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_retriever_is_a_loop(how, weight):
    g, s = draw()
    eps, temperature = 1e-7, 0.7
    game = distilled = 0.0
    for i in range(3):
        p, judged = g[i].softmax(0), (s[i].detach() / temperature).softmax(0)
        for j in range(5):
            reward = math.log(torch.sigmoid(s[i, 0] - s[i, j]).item() + eps)
            game = game + reward * torch.log(p[j] + eps)
            distilled = distilled - judged[j] * torch.log(p[j] + eps) / 3
    wanted = weight * game / (3 if how == "mean" else 1) + (1 - weight) * distilled
    settings = {"adversarial": weight, "temperature": temperature, "adversarial_reduction": how}
    found = ar2_retriever(g, s, **settings)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(AR2Retriever(**settings)(g, s), found)
    torch.testing.assert_close(ar2_retriever(g, s, reduction="none", **settings).mean(), found)
    assert torch.autograd.gradcheck(lambda x: ar2_retriever(x, s, **settings), [g])


def test_adversarial_part_is_a_cross_entropy_and_its_gradient():
    g, s = draw()
    reward = softplus(s.detach() - s.detach()[:, :1])
    target = reward / reward.sum(1, keepdim=True)
    each = cross_entropy(g, target, reduction="none")
    loss = ar2_retriever(g, s, adversarial=1.0, eps=0)
    torch.testing.assert_close(loss, (reward.sum(1) * each).sum(), rtol=1e-12, atol=0)
    (grad,) = torch.autograd.grad(loss, g)
    p = g.softmax(1)
    torch.testing.assert_close(grad, p * reward.sum(1, keepdim=True) - reward, rtol=1e-10, atol=0)
    (grad,) = torch.autograd.grad(ar2_retriever(g, s, adversarial=0.0, eps=0), g)
    torch.testing.assert_close(grad, (p - s.softmax(1)) / 3, rtol=1e-10, atol=1e-14)


def test_limits_of_the_target():
    sure = ranker_reward(torch.tensor([[200.0, 0.0, -3.0]]).double(), eps=0)
    torch.testing.assert_close(sure, torch.tensor([[-math.log(2), 0, 0]]).double())
    assert (ranker_reward(torch.zeros(1, 4), eps=0) == -math.log(2)).all()
    capped = ranker_reward(torch.tensor([[0.0, 16.0, 50.0]]).double())[0]
    assert capped[2].item() == pytest.approx(math.log(1e-7), abs=1e-4)
    assert (capped[1] - capped[2]).abs() < 1
    assert ranker_reward(torch.tensor([[90.0, 0.0]]).double()).max() <= math.log(1 + 1e-7)


def test_no_gradient_to_the_ranker_and_hard_negatives_gain():
    g, s = draw()
    grad = torch.autograd.grad(ar2_retriever(g, s), s, allow_unused=True)
    assert grad == (None,)
    g = torch.zeros(1, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(
        ar2_retriever(g, torch.tensor([[0.0, 3.0, -9.0]]), adversarial=1.0), g
    )
    assert grad[0, 1] < 0 < grad[0, 2]


def test_without_negatives():
    g, s = draw(b=2, n=1)
    loss = ar2_retriever(g, s, adversarial=1.0)
    assert loss.item() == pytest.approx(2 * math.log(0.5 + 1e-7) * 1e-7, rel=1e-3)
    assert ar2_retriever(g, s, adversarial=0.0).item() == pytest.approx(-1e-7, rel=1e-3)
    assert torch.autograd.grad(loss, g)[0].abs().max() == 0


def test_ranker_is_cross_entropy_at_place_zero():
    _, s = draw()
    wanted = cross_entropy(s, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(ar2_ranker(s), wanted)
    torch.testing.assert_close(AR2Ranker()(s), wanted)


def test_turns():
    turns = [player(step) for step in range(1, 4001)]
    assert turns[:500] == ["ranker"] * 500
    assert turns[500:2000] == ["retriever"] * 1500
    assert turns[2000:] == turns[:2000]
    with pytest.raises(SettingError):
        player(0)


def test_bad_inputs_are_refused():
    g, s = draw()
    with pytest.raises(DataError, match="differ"):
        ar2_retriever(g, s[:, :2])
    spoilt = s.detach().clone()
    spoilt[1, 2] = torch.nan
    with pytest.raises(DataError, match="row 1"):
        ar2_retriever(g, spoilt)
    with pytest.raises(DataError):
        ar2_ranker(s[0])
    for wrong in ({"adversarial": 2}, {"temperature": 0}, {"adversarial_reduction": "max"}):
        with pytest.raises(SettingError):
            ar2_retriever(g, s, **wrong)
    with pytest.raises(SettingError, match="eps"):
        ranker_reward(s, eps=-1)
