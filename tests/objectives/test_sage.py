"""SAGE: the judges' objective, the residual path, and what counts as a failure."""

import math

import pytest
import torch
from torch import nn

from counterpoint.curation.failure_search import (
    KINDS,
    best_tokens,
    failed,
    failure_kind,
    latent_step,
    non_gaussian_rate,
    prompt_fails,
    success_rate,
    token_changes,
    typical,
)
from counterpoint.encoders.noise_schedule import NoiseSchedule
from counterpoint.encoders.residual_sampler import residual_sample
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import SAGE
from counterpoint.objectives.sage import log_opinion, sage

LABELS = torch.tensor([0, 1, 2, 0])


def judges(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(4, 3, 5, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("towards", [False, True])
def test_is_a_loop(towards):
    logits = judges()
    want = []
    for b, k in enumerate(LABELS.tolist()):
        q = sum(logits[b, j].exp()[k] / logits[b, j].exp().sum() for j in range(3)) / 3
        want.append(-q.log() if towards else q.log())
    found = SAGE(towards=towards, reduction="none")(logits, LABELS)
    torch.testing.assert_close(found, torch.stack(want))
    assert torch.autograd.gradcheck(lambda x: sage(x, LABELS, towards=towards), [logits])
    torch.testing.assert_close(sage(logits, LABELS, towards=towards), torch.stack(want).mean())


def test_one_judge_is_its_log_probability():
    logits = judges()[:, 0]
    want = -nn.functional.cross_entropy(logits, LABELS)
    torch.testing.assert_close(sage(logits, LABELS), want)


def test_an_impossible_class_is_clamped_and_has_no_gradient():
    logits = torch.tensor([[[-200.0, 0.0], [-300.0, 0.0]]], requires_grad=True)
    loss = sage(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log(1e-12))
    assert (torch.autograd.grad(loss, logits)[0] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    half = judges().detach().to(dtype)
    torch.testing.assert_close(sage(half, LABELS), sage(half.float(), LABELS))


def confident(*rows):
    """Logits of one image; each row is the class a judge is sure of."""
    return 8 * nn.functional.one_hot(torch.tensor(rows), 5).double()[None]


def test_all_of_the_judges_and_their_mean_must_err():
    zero = torch.tensor([0])
    assert failed(confident(1, 1, 2), zero).item()
    assert not failed(confident(1, 1, 0), zero).item()
    assert failed(confident(1, 1, 0), zero, rule="mean").item()
    split = torch.tensor([[[3, 3.1, 0, 0, 0], [3, 0, 3.1, 0, 0], [3, 0, 0, 3.1, 0.0]]])
    assert (split.argmax(2) != 0).all()
    assert not failed(split, zero).item()


def test_kinds_of_failure():
    zero = torch.zeros(1, dtype=torch.long)

    def kind(logits, persists=None):
        return KINDS[failure_kind(logits, zero, persists).item()]

    vague = torch.tensor([[[0, 0.1, 0, 0, 0], [0, 0, 0.1, 0, 0.0]]])
    assert kind(confident(1, 1)) == "unrelated"
    assert kind(vague) == "distorted"
    assert kind(vague, torch.tensor([False])) == "none"
    assert kind(confident(0, 0)) == "none"


def network(z, steps):
    return (z @ z.new_ones(6, 6) / 600 + steps[:, None] / 10).sin()


def jacobian(full_last):
    schedule = NoiseSchedule(6)
    z = torch.randn(1, 6, dtype=torch.float64)
    found = torch.autograd.functional.jacobian(
        lambda x: residual_sample(schedule, network, x, full_last), z
    )
    return found[0, :, 0], schedule


def test_the_jacobian_of_the_residual_path_is_the_identity_over_the_root_of_a():
    found, schedule = jacobian(0)
    torch.testing.assert_close(found, torch.eye(6).double() / schedule.kept[-1].sqrt())


def test_the_true_gradient_of_the_last_steps():
    torch.manual_seed(0)
    schedule, z = NoiseSchedule(6), torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    plain = residual_sample(schedule, network, z, 6)
    torch.testing.assert_close(residual_sample(schedule, network, z), plain)

    def denoise(x, n):
        kept = schedule.kept[n][:, None]
        return (x - (1 - kept).sqrt() * network(x, n)) / kept.sqrt()

    torch.testing.assert_close(schedule.sample(denoise, z, bound=None), plain.detach())
    assert torch.autograd.gradcheck(lambda x: residual_sample(schedule, network, x, 6), [z])
    some = jacobian(2)[0]
    assert (some - jacobian(0)[0]).abs().max() > 1e-3
    with pytest.raises(SettingError, match="full_last"):
        residual_sample(schedule, network, z, 7)


def test_typical_rows_have_mean_zero_and_the_length_of_a_gaussian():
    torch.manual_seed(0)
    z = 3 + 2 * torch.randn(5, 4, 8, 2, dtype=torch.float64)
    z[2] = 1.5
    found = typical(z, torch.Generator().manual_seed(0)).flatten(1)
    torch.testing.assert_close(found.mean(1), torch.zeros(5).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.full((5,), 8.0).double())
    torch.testing.assert_close(typical(found), found)
    with pytest.raises(DataError, match="row 1"):
        typical(torch.tensor([[1.0, 2], [torch.nan, 1]]))


def test_a_step_descends_by_about_seven_degrees_and_survives_a_zero_gradient():
    torch.manual_seed(0)
    z = typical(torch.randn(3, 64, dtype=torch.float64))
    gradient = torch.randn_like(z)
    gradient[1] = 0
    moved = latent_step(z, gradient)
    torch.testing.assert_close(moved.norm(dim=1), torch.full((3,), 8.0).double())
    angle = torch.rad2deg(torch.cosine_similarity(z, moved).acos())
    assert ((angle > 5) & (angle < 9)).all()
    assert (((moved - z) * gradient).sum(1)[[0, 2]] < 0).all()
    torch.testing.assert_close(latent_step(z, 1e5 * gradient)[::2], moved[::2])


def test_tokens_are_ranked_by_first_order_change_then_by_likelihood():
    torch.manual_seed(0)
    embeddings, g = torch.randn(5, 3), torch.randn(3)
    u = embeddings.mean(0)
    changes = token_changes(embeddings, u, g)
    torch.testing.assert_close(changes, torch.stack([(e - u) @ g for e in embeddings]))
    shifted = token_changes(embeddings, u + 1, g)
    assert torch.equal(shifted.argsort(), changes.argsort())
    scores, likely = torch.tensor([1.0, 0, 0, -1, -3]), torch.tensor([0.0, -2, -1, -3, -1])
    banned = torch.tensor([False, False, False, False, True])
    assert best_tokens(scores, likely, 3, banned).tolist() == [3, 2, 1]
    assert best_tokens(scores, likely, 9).tolist() == [4, 3, 2, 1, 0]


def test_a_prompt_fails_often_and_is_fluent():
    often, rare = torch.tensor([True, False]), torch.tensor([True, False, False])
    fluent = torch.tensor([0.5, 0.5]).log()
    assert prompt_fails(often, fluent, perplexity=2.1)
    assert not prompt_fails(often, fluent, perplexity=1.9)
    assert not prompt_fails(rare, fluent, perplexity=2.1)


def test_normality_is_rejected_at_its_level_and_typical_changes_nothing():
    torch.manual_seed(0)
    z = torch.randn(2000, 64)
    assert non_gaussian_rate(z) == pytest.approx(0.055, abs=0.02)
    assert non_gaussian_rate(typical(z)) == non_gaussian_rate(z)
    assert non_gaussian_rate(torch.rand(200, 256)) > 0.95
    with pytest.raises(DataError, match="20"):
        non_gaussian_rate(z[:, :19])


def test_success_rate_of_searches():
    calls = torch.tensor([1, 3, -1, 10])
    assert success_rate(calls, 1) == 0.25
    assert success_rate(calls, 3) == 0.5
    assert success_rate(calls, 10) == 0.75


def test_what_does_not_fit_is_refused():
    logits = judges()
    for wrong in (torch.ones(4), torch.ones(4, 5).long(), torch.full((4, 5), torch.nan)):
        with pytest.raises(DataError):
            sage(wrong, LABELS)
    with pytest.raises(DataError, match=r"0\.\.4"):
        sage(logits, LABELS + 5)
    with pytest.raises(SettingError, match="rule"):
        failed(logits, LABELS, rule="any")
    with pytest.raises(SettingError, match="sure"):
        failure_kind(logits, LABELS, sure=0)
    with pytest.raises(DataError, match="persists"):
        failure_kind(logits, LABELS, torch.ones(3))
    with pytest.raises(SettingError, match="step"):
        latent_step(torch.randn(2, 8), torch.randn(2, 8), 0)
    with pytest.raises(DataError, match="gradient"):
        latent_step(torch.randn(2, 8), torch.randn(2, 4))
    with pytest.raises(DataError, match="w"):
        token_changes(torch.randn(5, 3), torch.randn(4), torch.randn(3))
    with pytest.raises(DataError, match="changes"):
        best_tokens(torch.randn(5), torch.randn(4), 1)
    for call in (
        lambda: best_tokens(torch.randn(5), torch.randn(5), 0),
        lambda: prompt_fails(torch.ones(2).bool(), torch.zeros(2), -1),
        lambda: non_gaussian_rate(torch.randn(2, 30), 0),
        lambda: success_rate(torch.tensor([1]), 0),
    ):
        with pytest.raises(SettingError):
            call()
    assert log_opinion(logits).exp().sum(1).allclose(torch.ones(4).double())
