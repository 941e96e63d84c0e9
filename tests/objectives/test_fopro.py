import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.encoders.relation import Relation
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.fopro import (
    Bootstrapped,
    FoPro,
    bootstrapped,
    fopro,
    prototype_logits,
)


def draw(b=6, c=3, d=4):
    torch.manual_seed(0)
    z, p = (normalize(torch.randn(n, d, dtype=torch.float64), dim=1) for n in (b, c))
    return z.requires_grad_(), p.requires_grad_(), torch.arange(b) % c


def test_prototypical_contrast_is_its_formula():
    z, p, labels = draw()
    few = torch.tensor([1, 0, 0, 1, 0, 0]).bool()
    kept = torch.tensor([1, 1, 0, 1, 1, 1]).bool()
    total = 0.0
    for i in range(6):
        row = [z[i] @ p[k] - 0.5 * bool(few[i] and k == labels[i]) for k in range(3)]
        row = torch.stack(row) / 0.1
        total = total + kept[i] * (row.logsumexp(0) - row[labels[i]]) / 5
    found = fopro(z, p, labels, few_shot=few, kept=kept)
    torch.testing.assert_close(found, total)
    torch.testing.assert_close(
        torch.autograd.grad(found, z, retain_graph=True)[0], torch.autograd.grad(total, z)[0]
    )
    assert torch.autograd.grad(found, p, allow_unused=True) == (None,)
    assert torch.equal(FoPro()(z, p, labels, few_shot=few, kept=kept), found)


def test_without_margin_few_shots_are_like_any_row():
    z, p, labels = draw()
    few = torch.ones(6, dtype=torch.bool)
    torch.testing.assert_close(fopro(z, p, labels, few_shot=few, margin=0.0), fopro(z, p, labels))
    assert fopro(z, p, labels, few_shot=few) > fopro(z, p, labels)


def test_temperature_of_each_class():
    z, p, _ = draw()
    t = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    torch.testing.assert_close(prototype_logits(z, p, temperature=t), z @ p.T / t)
    with pytest.raises(SettingError, match="temperature"):
        prototype_logits(z, p, temperature=0 * t)


def test_bootstrapped_is_its_formula():
    z, p, labels = draw()
    logits = (z @ p.T).detach().requires_grad_()
    soft, score = torch.rand(6, 3, dtype=torch.float64).softmax(1), torch.rand(6).double()
    hard = cross_entropy(logits, labels, reduction="none")
    softly = cross_entropy(logits, soft, reduction="none")
    wanted = (score * hard + (1 - score) * softly).mean()
    torch.testing.assert_close(bootstrapped(logits, labels, soft, score), wanted)
    torch.testing.assert_close(
        bootstrapped(logits, labels, soft, torch.ones(6)), cross_entropy(logits, labels)
    )
    assert torch.autograd.gradcheck(lambda x: bootstrapped(x, labels, soft, score), logits)
    assert torch.equal(
        Bootstrapped()(logits, labels, soft, score), bootstrapped(logits, labels, soft, score)
    )


def test_no_row_kept_gives_zero():
    z, p, labels = draw()
    none = torch.zeros(6, dtype=torch.bool)
    assert fopro(z, p, labels, kept=none) == 0
    logits = z @ p.T
    assert bootstrapped(logits, labels, logits.softmax(1), torch.ones(6), kept=none) == 0


def test_relation_sees_the_embedding_first_and_detaches_both():
    z, p, _ = draw()
    relation = Relation(4, 5).double()
    out = relation(z, p)
    first, _, last = relation.layers
    wanted = last(torch.relu(first(torch.cat([z[1], p[2]]))))[0]
    torch.testing.assert_close(out[1, 2], wanted)
    out.sum().backward()
    assert z.grad is None
    assert p.grad is None
    assert first.weight.grad.abs().sum() > 0


def test_bad_input_is_refused():
    z, p, labels = draw()
    with pytest.raises(DataError, match="labels"):
        fopro(z, p, labels + 3)
    with pytest.raises(DataError, match="NaN"):
        fopro(z * float("nan"), p, labels)
    with pytest.raises(DataError, match="score"):
        bootstrapped(z @ p.T, labels, z @ p.T, torch.ones(2))
