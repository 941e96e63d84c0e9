import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry.alignment import alignment
from counterpoint.geometry.uniformity import uniformity
from counterpoint.objectives.clip import clip
from counterpoint.objectives.contrastive_gap import (
    ContrastiveGap,
    contrastive_gap,
    contrastive_gap_parts,
)


def draw(n=6, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def loop(x, y, temperature, t, paper):
    x, y = normalize(x, dim=1), normalize(y, dim=1)
    n = len(x)

    def potential(a, b):
        return (-t * (a - b).square().sum()).exp()

    def inside(z):
        if paper:
            return (sum(potential(a, b) for a in z for b in z) / n).log()
        pairs = [potential(z[j], z[k]) for j in range(n) for k in range(j)]
        return torch.stack(pairs).mean().log()

    s, own = x @ y.T / temperature, torch.arange(n)
    cross = [potential(x[j], y[k]) for j in range(n) for k in range(n) if j != k]
    across = torch.stack(cross).sum() / (n if paper else n * (n - 1))
    return (
        (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2,
        (inside(x) + inside(y)) / 2,
        across.log(),
        torch.stack([(a - b).square().sum() for a, b in zip(x, y, strict=True)]).mean(),
    )


@pytest.mark.parametrize("n", [2, 6])
@pytest.mark.parametrize("t", [2.0, 0.5])
@pytest.mark.parametrize("variant", ["released", "paper"])
def test_terms_are_loops(n, t, variant):
    pair = draw(n)
    wanted = loop(*pair, 0.1, t, variant == "paper")
    found = contrastive_gap_parts(*pair, 0.1, t=t, variant=variant)
    torch.testing.assert_close(tuple(found), wanted)
    weights = (2.0, 3.0, 5.0, 7.0)
    names = ("contrastive", "uniformity", "cross_uniformity", "alignment")
    named = {f"{name}_weight": w for name, w in zip(names, weights, strict=True)}
    loss = contrastive_gap(*pair, 0.1, t=t, variant=variant, **named)
    total = sum(w * term for w, term in zip(weights, wanted, strict=True))
    torch.testing.assert_close(loss, total)
    torch.testing.assert_close(ContrastiveGap(0.1, t=t, variant=variant, **named)(*pair), loss)
    grads = [torch.autograd.grad(value, pair) for value in (loss, total)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("normalized", [True, False])
def test_gradient_numerically(normalized):
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y, t: contrastive_gap(x, y, t, normalize=normalized), [*draw(5), temperature]
    )


def test_terms_are_the_measures_and_clip():
    x, y = draw()
    part = contrastive_gap_parts(x, y, 0.1)
    torch.testing.assert_close(part.contrastive, clip(x, y, 0.1))
    torch.testing.assert_close(part.uniformity, (uniformity(x) + uniformity(y)) / 2)
    torch.testing.assert_close(part.alignment, alignment(x, y))
    alone = contrastive_gap(
        x, y, 0.1, uniformity_weight=0, cross_uniformity_weight=0, alignment_weight=0
    )
    torch.testing.assert_close(alone, clip(x, y, 0.1))


def test_papers_cross_term_differs_by_a_constant():
    pair = draw()
    one = {"contrastive_weight": 0.0, "uniformity_weight": 0.0, "alignment_weight": 0.0}
    forms = [contrastive_gap(*pair, variant=v, **one) for v in ("released", "paper")]
    torch.testing.assert_close(forms[1] - forms[0], torch.tensor(5.0).double().log())
    torch.testing.assert_close(*(torch.autograd.grad(form, pair) for form in forms))


def test_equal_captions_keep_a_finite_gradient():
    x, y = draw()
    same = y.detach()[[0, 0, 0, 1, 1, 2]].requires_grad_()
    grads = torch.autograd.grad(contrastive_gap(x, same, 0.01), [x, same])
    assert all(torch.isfinite(grad).all() for grad in grads)
    one = same.detach()[:1].expand(6, 4).clone().requires_grad_()
    part = contrastive_gap_parts(one, one)
    assert part.uniformity.abs() < 1e-12
    assert torch.autograd.grad(part.uniformity, one)[0].abs().max() < 1e-12


def test_one_pair_has_no_uniformity():
    x, y = draw(1)
    with pytest.warns(UserWarning, match="single pair"):
        part = contrastive_gap_parts(x, y)
    assert part.uniformity == part.cross_uniformity == 0
    torch.testing.assert_close(part.alignment, alignment(x, y))
    with pytest.warns(UserWarning, match="single pair"):
        contrastive_gap(x, y).backward()
    assert torch.isfinite(x.grad).all()


def test_bad_inputs_are_refused():
    x, y = draw()
    with pytest.raises(DataError, match="rows"):
        contrastive_gap(x, y[:4])
    spoilt = y.detach().clone()
    spoilt[3, 1] = torch.nan
    with pytest.raises(DataError, match="row 3"):
        contrastive_gap(x, spoilt)
    for wrong, match in (({"t": 0.0}, "t must"), ({"variant": "both"}, "variant")):
        with pytest.raises(SettingError, match=match):
            contrastive_gap(x, y, **wrong)
    with pytest.raises(SettingError, match="temperature"):
        contrastive_gap(x, y, 0.0)
