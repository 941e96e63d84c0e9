import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import functional as F
from counterpoint.objectives.feature_transformation import (
    FeatureTransformation,
    TransformationDraws,
    draw_transformation,
    feature_transformation,
    score_statistics,
    transform,
)


def draw(b=5, size=9, d=6):
    torch.manual_seed(0)
    q, k, queue = (normalize(torch.randn(n, d, dtype=torch.float64), dim=1) for n in (b, b, size))
    return q.requires_grad_(), k, queue


def generator():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("elementwise", [False, True])
def test_equals_the_dense_formula(elementwise):
    q, k, queue = draw()
    settings = {"elementwise_positives": elementwise, "elementwise_negatives": elementwise}
    loss = feature_transformation(q, k, queue, 0.3, generator=generator(), **settings)
    drawn = draw_transformation(q, queue, generator=generator(), **settings)
    w, v = drawn.positive, drawn.negative
    assert w.shape == (q.shape if elementwise else ())
    assert ((w > 1) & (w < 2)).all()
    assert ((v > 0) & (v < 1)).all()
    a, c = w * q + (1 - w) * k, w * k + (1 - w) * q
    n = v * queue + (1 - v) * queue[drawn.order]
    logits = torch.cat([(a * c).sum(1, keepdim=True), a @ n.T], 1) / 0.3
    wanted = cross_entropy(logits, torch.zeros(5).long())
    torch.testing.assert_close(loss, wanted)
    assert torch.autograd.gradcheck(
        lambda x: feature_transformation(x, k, queue, 0.3, draws=drawn), q
    )


def test_identities_of_the_paper():
    q, k, queue = draw()
    s = (q * k).sum(1)
    for w in (0.3, 1.4, 2.0):
        weight = torch.tensor(w, dtype=torch.float64)
        a, c, _ = transform(q, k, queue, TransformationDraws(positive=weight))
        torch.testing.assert_close(a + c, q + k)
        torch.testing.assert_close((a * c).sum(1), s - 2 * w * (w - 1) * (1 - s))
        assert ((a * c).sum(1) < s).all() == (w > 1)
    torch.testing.assert_close((a * c).sum(1), 5 * s - 4)
    order = torch.randperm(9)
    share = torch.tensor(0.7, dtype=torch.float64)
    _, _, n = transform(q, k, queue, TransformationDraws(negative=share, order=order))
    torch.testing.assert_close((q @ n.T).mean(1), (q @ queue.T).mean(1))
    near = (queue * queue[order]).sum(1)
    torch.testing.assert_close(n.square().sum(1), 1 - 2 * 0.7 * 0.3 * (1 - near))


def test_without_both_sides_it_is_moco():
    q, k, queue = draw()
    found = feature_transformation(q, k, queue, 0.2, positive_alpha=None, negative_alpha=None)
    torch.testing.assert_close(found, F.info_nce(q, k, 0.2, negatives=queue, in_batch=False))
    one = feature_transformation(q, k, queue[:1], positive_alpha=None)
    torch.testing.assert_close(one, F.info_nce(q, k, 0.2, negatives=queue[:1], in_batch=False))


def test_extrapolation_pulls_harder_and_interpolation_less():
    q, k, queue = draw()

    def pull(**settings):
        loss = feature_transformation(
            q, k, queue, negative_alpha=None, generator=generator(), reduction="none", **settings
        )
        return loss.mean()

    plain = pull(positive_alpha=None)
    assert pull() > plain > pull(extrapolate=False)


def test_normalised_after_mixing_and_recorded_draws_are_not_changed():
    q, k, queue = draw()
    drawn = draw_transformation(q, queue, generator=generator())
    before = drawn.positive.clone(), queue.clone()
    a, c, _ = transform(q, k, queue, drawn, postmix_norm=True)
    torch.testing.assert_close(a.norm(dim=1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(c.norm(dim=1), torch.ones(5, dtype=torch.float64))
    feature_transformation(q, k, queue, draws=drawn)
    assert torch.equal(drawn.positive, before[0])
    assert torch.equal(queue, before[1])


def test_with_mixed_negatives_alone_normalisation_after_mixing_keeps_q_on_the_sphere():
    q, k, queue = draw()
    drawn = draw_transformation(q, queue, positive_alpha=None, generator=generator())
    settings = {"draws": drawn, "normalize": False, "postmix_norm": True}
    (grad,) = torch.autograd.grad(feature_transformation(q, k, queue, **settings), q)
    assert torch.linalg.vecdot(grad, q).abs().max() < 1e-12


def test_score_statistics():
    q, k, queue = draw()
    found = score_statistics(q, k, queue, 0.4)
    s = q.detach() @ queue.T
    torch.testing.assert_close(found["negative_mean"], s.mean(1))
    torch.testing.assert_close(found["negative_variance"], s.var(1))
    torch.testing.assert_close(found["negative_exp"], (s / 0.4).exp().mean(1))
    positive = (q * k).sum(1).detach()
    torch.testing.assert_close(found["positive"], positive)
    torch.testing.assert_close(found["positive_exp"], (positive / 0.4).exp())


def test_module_and_bad_input():
    q, k, queue = draw()
    one = FeatureTransformation(positive_alpha=1.0)(q, k, queue, generator=generator())
    two = feature_transformation(q, k, queue, positive_alpha=1.0, generator=generator())
    assert torch.equal(one, two)
    for name in ("positive_alpha", "negative_alpha"):
        with pytest.raises(SettingError, match="alpha above 0"):
            feature_transformation(q, k, queue, **{name: 0.0})
    with pytest.raises(DataError, match="queries has 5 rows and keys has 4"):
        feature_transformation(q, k[:4], queue)
