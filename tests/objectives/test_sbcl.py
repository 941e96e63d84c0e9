import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.sbcl import SBCL, SBCLQueue, sbcl, sbcl_queue
from counterpoint.objectives.supcon import supcon

pytestmark = pytest.mark.filterwarnings("ignore:Some anchors have no positive")

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2])
SUBCLASSES = torch.tensor([0, 0, 1, 1, 2, 2, 3])
T2 = torch.tensor([0.12, 0.2, 0.3], dtype=torch.float64)


def draw(v=2, seed=0):
    torch.manual_seed(seed)
    return torch.randn(7, v, 4, dtype=torch.float64, requires_grad=True)


def mean_of(s, positives, candidates):
    total = torch.stack([s[a] for a in candidates]).logsumexp(0)
    return total - torch.stack([s[p] for p in positives]).mean()


def loop(f, beta=0.25, factor=0.1 / 0.07):
    views = f.shape[1]
    z = normalize(torch.cat([f[:, v] for v in range(views)]), dim=1)
    y, g = LABELS.repeat(views), SUBCLASSES.repeat(views)
    losses, n = [], 7 * views
    for i in range(n):
        others = [j for j in range(n) if j != i]
        members = [j for j in others if g[j] == g[i]]
        if not members:
            continue
        views_of = [j for j in others if j % 7 == i % 7]
        s = z @ z[i]
        loss = factor * mean_of(s / 0.1, members, others)
        friends = [j for j in others if y[j] == y[i] and g[j] != g[i]] + views_of
        rest = [j for j in others if g[j] != g[i]] + views_of
        if friends:
            loss = loss + beta * mean_of(s / T2[y[i]], friends, rest)
        losses.append(loss)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("views", [1, 2, 3])
def test_equals_a_loop(views):
    f = draw(views)
    found, wanted = sbcl(f, LABELS, SUBCLASSES, class_temperature=T2), loop(f)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(*(torch.autograd.grad(x, f) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)
    module = SBCL()(f, LABELS, SUBCLASSES, class_temperature=T2)
    torch.testing.assert_close(module, found)
    each = sbcl(f, LABELS, SUBCLASSES, class_temperature=T2, reduction="none")
    torch.testing.assert_close(each[each != 0].mean(), found)


def test_gradient_numerically():
    assert torch.autograd.gradcheck(
        lambda x: sbcl(x, LABELS, SUBCLASSES, 0.5, class_temperature=4 * T2), [draw()]
    )


def test_one_subclass_a_class_is_supcon_on_classes():
    f = draw()
    rows, y = f.transpose(0, 1).reshape(14, 4), LABELS.repeat(2)
    torch.testing.assert_close(
        sbcl(f, LABELS, LABELS, beta=0.0, base_temperature=None), supcon(rows, y, 0.1)
    )
    both = sbcl(f, LABELS, LABELS, beta=1.0, base_temperature=None, denominator="all")
    torch.testing.assert_close(both, 2 * supcon(rows, y, 0.1))


def test_class_level_leaves_the_subclass_alone():
    f = draw()

    def second(x):
        parts = [
            sbcl(x, LABELS, SUBCLASSES, 0.1, beta=b, normalize=False, reduction="none")[0]
            for b in (1.0, 0.0)
        ]
        return parts[0] - parts[1]

    (grad,) = torch.autograd.grad(second(f), f)
    assert grad[1].abs().max() < 1e-12
    assert grad[0, 1].abs().max() > 1e-3
    assert grad[2].abs().max() > 1e-3


def test_temperatures_are_constant_and_ratio_of_positives_is_balanced():
    t2 = T2.clone().requires_grad_()
    grad = torch.autograd.grad(
        sbcl(draw(), LABELS, SUBCLASSES, class_temperature=t2), t2, allow_unused=True
    )
    assert grad == (None,)


@pytest.mark.parametrize("unit", [True, False])
def test_queue_form_equals_a_loop(unit):
    torch.manual_seed(3)
    q, k, bank = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (7, 7, 8))
    queue_y = torch.tensor([0, 0, 0, 1, 1, 2, 3, 0])
    queue_g = torch.tensor([0, 1, 5, 2, 6, 3, 7, 0])
    a, b, c = (normalize(x, dim=1) for x in (q, k, bank)) if unit else (q, k, bank)
    losses = []
    for i in range(7):
        s = torch.cat([(a[i] * b[i]).sum()[None], c @ a[i]])
        same = [1 + m for m in range(8) if queue_g[m] == SUBCLASSES[i]]
        other = [1 + m for m in range(8) if queue_g[m] != SUBCLASSES[i]]
        friends = [m for m in other if queue_y[m - 1] == LABELS[i]]
        losses.append(
            mean_of(s / 0.07, [0, *same], range(9))
            + 0.2 * mean_of(s / 0.12, [0, *friends], [0, *other])
        )
    wanted = torch.stack(losses).mean()
    inputs = (q, k, bank, LABELS, SUBCLASSES, queue_y, queue_g)
    found = sbcl_queue(*inputs, normalize=unit)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(SBCLQueue(normalize=unit)(*inputs), found)
    (x,), (y,) = (torch.autograd.grad(v, q) for v in (found, wanted))
    torch.testing.assert_close(x, y)


def test_bad_inputs_are_refused():
    f = draw()
    with pytest.raises(SettingError, match="denominator"):
        sbcl(f, LABELS, SUBCLASSES, denominator="some")
    with pytest.raises(SettingError, match="beta"):
        sbcl(f, LABELS, SUBCLASSES, beta=-1)
    with pytest.raises(SettingError, match="temperature"):
        sbcl(f, LABELS, SUBCLASSES, 0.0, base_temperature=0.07)
    with pytest.raises(DataError, match="class_temperature"):
        sbcl(f, LABELS, SUBCLASSES, class_temperature=T2[:2])
    with pytest.raises(DataError, match="subclasses"):
        sbcl(f, LABELS, SUBCLASSES[:3])
    spoilt = f.detach().clone()
    spoilt[3, 0] = torch.nan
    with pytest.raises(DataError, match="row 3"):
        sbcl(spoilt, LABELS, SUBCLASSES)
