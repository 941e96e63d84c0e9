import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry import pull, push_of_hardest, relative_penalty, transformed_scores


def views(rows=24, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return q, q + 0.4 * torch.randn(rows, width, generator=generator, dtype=torch.float64)


def test_extrapolation_lowers_every_positive_and_interpolation_none():
    found = transformed_scores(*views())
    plain, harder = found["plain"][0], found["extrapolation"][0]
    assert bool((harder < plain).all())
    assert torch.equal(found["interpolation"][0], plain)
    assert torch.equal(found["both"][0], harder)


def test_extrapolated_score_follows_its_identity():
    q, k = (normalize(z, dim=1) for z in views(rows=3, seed=1))
    found = transformed_scores(q, k, positive_alpha=1e6)  # every weight is 1.5
    s = (q * k).sum(1)
    torch.testing.assert_close(
        found["extrapolation"][0], s - 2 * 1.5 * 0.5 * (1 - s), rtol=0, atol=1e-2
    )


def test_interpolation_narrows_the_negative_scores_about_the_same_mean():
    plain, mixed = (transformed_scores(*views(200))[kind][1] for kind in ("plain", "interpolation"))
    assert mixed.shape == plain.shape == (200, 198)
    assert abs(float(mixed.mean() - plain.mean())) < 0.01
    assert float(mixed.var()) < 0.8 * float(plain.var())


def test_no_negative_holds_the_query_s_own_key():
    count = 6
    q = torch.eye(count, dtype=torch.float64)
    for _, negative in (transformed_scores(q, q)[kind] for kind in ("plain", "interpolation")):
        assert float(negative.abs().max()) == 0


def test_bad_input_is_refused():
    q, k = views()
    with pytest.raises(DataError, match="differ in shape"):
        transformed_scores(q, k[:-1])
    with pytest.raises(DataError):
        transformed_scores(q[:2], k[:2])
    with pytest.raises(SettingError):
        transformed_scores(q, k, positive_alpha=0)


def test_pull_and_push_are_the_gradient_of_info_nce():
    temperature = 0.3
    s = torch.rand(5, 9, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(
        s / temperature, torch.zeros(5, dtype=torch.long), reduction="sum"
    )
    (grad,) = torch.autograd.grad(loss, s)
    own, others = s.detach()[:, 0], s.detach()[:, 1:]
    torch.testing.assert_close(pull(own, others, temperature), -grad[:, 0] * temperature)
    hardest = (grad[:, 1:].max(1).values / -grad[:, 0]).mean()
    shares = push_of_hardest(others, temperature, (0.01, 0.5, 1.0))
    torch.testing.assert_close(shares[0], hardest)
    assert shares[2] == pytest.approx(1)
    top = relative_penalty(others, temperature).sort(1, descending=True).values[:, :4]
    torch.testing.assert_close(shares[1], top.sum(1).mean())


def test_shares_are_of_fractions_and_matching_rows():
    s = torch.rand(4, 6)
    with pytest.raises(SettingError, match="fractions"):
        push_of_hardest(s, 0.1, (0.0,))
    with pytest.raises(DataError, match="4 rows"):
        pull(torch.rand(3), s, 0.1)
    with pytest.raises(SettingError, match="temperature"):
        pull(torch.rand(4), s, 0.0)
