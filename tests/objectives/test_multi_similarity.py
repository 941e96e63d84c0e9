import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import SettingError
from counterpoint.objectives import MultiSimilarity
from counterpoint.objectives import functional as F

LABELS = torch.tensor([0, 0, 1, 1, 2, -1, 0, -1])


def draw(seed=0):
    torch.manual_seed(seed)
    return torch.randn(8, 5, dtype=torch.float64, requires_grad=True)


def test_is_a_loop():
    z = draw()
    unit, want = normalize(z, dim=1), []
    for i in range(8):
        rows = [j for j in range(8) if LABELS[i] >= 0 and LABELS[j] >= 0]
        s = unit @ unit[i]
        near = sum((-2 * (s[j] - 0.4)).exp() for j in rows if LABELS[j] == LABELS[i] and j != i)
        far = sum((9 * (s[j] - 0.4)).exp() for j in rows if LABELS[j] != LABELS[i])
        parts = [torch.as_tensor(x, dtype=z.dtype).log1p() for x in (near, far)]
        want.append(parts[0] / 2 + parts[1] / 9)
    want = torch.stack(want)
    module = MultiSimilarity(alpha=2, beta=9, base=0.4, reduction="none")
    torch.testing.assert_close(module(z, LABELS), want)
    found = F.multi_similarity(z, LABELS, alpha=2, beta=9, base=0.4)
    torch.testing.assert_close(found, want.sum() / 6)
    assert torch.autograd.gradcheck(lambda x: F.multi_similarity(x, LABELS, beta=9), [z])


@pytest.mark.parametrize("labels", [torch.arange(8), torch.zeros(8).long(), -torch.ones(8).long()])
def test_empty_sets_give_zero(labels):
    z = draw()
    loss = F.multi_similarity(z, labels)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, z)[0]).all()
    alone = F.multi_similarity(z[:1], labels[:1])
    assert alone.item() == 0


@pytest.mark.parametrize("sharpness", [0.1, 2000.0])
def test_extremes_zero_vectors_and_half_precision(sharpness):
    z = draw().detach().float()
    z[2] = 0
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        leaf = z.to(dtype).requires_grad_()
        loss = F.multi_similarity(leaf, LABELS, alpha=sharpness, beta=sharpness)
        assert torch.isfinite(torch.autograd.grad(loss, leaf)[0]).all()
        same = F.multi_similarity(leaf.float(), LABELS, alpha=sharpness, beta=sharpness)
        torch.testing.assert_close(loss, same)


def test_sharp_is_the_hardest_pair():
    z = draw()
    s = normalize(z, dim=1) @ normalize(z, dim=1).T
    found = F.multi_similarity(z, LABELS, alpha=1e4, beta=1e4, base=0.0, reduction="none")
    far = torch.stack([s[0, j] for j in (2, 3, 4)]).max().clamp(min=0)
    near = (-torch.stack([s[0, j] for j in (1, 6)])).max().clamp(min=0)
    torch.testing.assert_close(found[0], near + far, atol=1e-3, rtol=0)


def test_settings_are_refused():
    for wrong in ({"alpha": 0}, {"beta": -1}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            F.multi_similarity(draw(), LABELS, **wrong)
