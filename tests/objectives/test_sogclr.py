import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.sogclr import BimodalSogCLR, SogCLR, sogclr, sogclr_bimodal
from counterpoint.pairs.sample_state import SampleState


def draw(n=5, d=4, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(n, d, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def log_means(z1, z2, tau):
    z = normalize(torch.cat([z1, z2]), dim=1)
    n = len(z1)
    s = z @ z.T
    index = torch.arange(n).repeat(2)
    t = tau.repeat(2)[:, None]
    return (s / t).masked_fill(index[:, None] == index, -torch.inf).logsumexp(1) - torch.tensor(
        2 * n - 2.0
    ).log()


def test_with_the_batchs_own_mean_the_gradient_is_that_of_the_global_loss():
    z1, z2 = draw()
    tau = torch.linspace(0.1, 0.5, 5, dtype=torch.float64)
    pull = torch.cosine_similarity(z1, z2)
    exact = (tau * log_means(z1, z2, tau).view(2, -1)).sum(0) - 2 * pull
    found = torch.autograd.grad(sogclr(z1, z2, tau), (z1, z2))
    wanted = torch.autograd.grad(exact.mean(), (z1, z2))
    torch.testing.assert_close(found, wanted)
    module = SogCLR(9, 0.3, gamma=1.0).double()
    stated = torch.autograd.grad(module(z1, z2, torch.arange(5)), (z1, z2))
    torch.testing.assert_close(stated, torch.autograd.grad(sogclr(z1, z2, 0.3), (z1, z2)))


def test_bimodal_gradient_of_the_batchs_own_mean():
    x, y = draw()
    s = normalize(x, dim=1) @ normalize(y, dim=1).T
    h = [s - s.diagonal()[:, None], s.T - s.diagonal()[:, None]]
    off = torch.eye(5, dtype=torch.bool)
    exact = sum(0.2 * (a / 0.2).masked_fill(off, -torch.inf).logsumexp(1) for a in h).mean()
    found = torch.autograd.grad(sogclr_bimodal(x, y, 0.2), (x, y))
    torch.testing.assert_close(found, torch.autograd.grad(exact, (x, y)))
    module = BimodalSogCLR(5, 0.2, gamma=1.0).double()
    stated = torch.autograd.grad(module(x, y, torch.arange(5)), (x, y))
    torch.testing.assert_close(stated, found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("objective", [sogclr, sogclr_bimodal])
def test_value_weights_similarities_by_given_estimates(objective):
    z1, z2 = draw()
    tau = torch.linspace(0.2, 0.5, 5, dtype=torch.float64)
    log_u = torch.randn(10, dtype=torch.float64)
    a, b = normalize(z1, dim=1), normalize(z2, dim=1)
    pull = (a * b).sum(1)
    for temperature in (0.3, tau):
        t = torch.as_tensor(temperature, dtype=torch.float64).expand(5).repeat(2)[:, None]
        if objective is sogclr:
            h, index = torch.cat([a, b]) @ torch.cat([a, b]).T, torch.arange(5).repeat(2)
            kept, less = index[:, None] != index, 2 * pull
        else:
            h = torch.cat([a @ b.T, b @ a.T]) - pull.repeat(2)[:, None]
            kept, less = ~torch.eye(5, dtype=torch.bool).repeat(2, 1), 0
        weights = (h / t - log_u[:, None]).exp().detach() * kept
        exact = ((weights * h).sum(1) / kept.sum(1)).view(2, -1).sum(0) - less
        for reduction, wanted in (("none", exact), ("sum", exact.sum()), ("mean", exact.mean())):
            found = objective(z1, z2, temperature, log_estimates=log_u, reduction=reduction)
            torch.testing.assert_close(found, wanted)
            upstream = torch.arange(1.0, found.numel() + 1).to(found).view(found.shape)
            grads = [
                torch.autograd.grad(loss, (z1, z2), upstream, retain_graph=True)
                for loss in (found, wanted)
            ]
            torch.testing.assert_close(*grads)


def test_a_second_derivative_is_refused():
    z1, z2 = draw()
    loss = sogclr(z1, z2, 0.3, normalize=False)
    with pytest.raises(NotImplementedError, match="double backward"):
        torch.autograd.grad(loss, z1, create_graph=True)


def test_temperature_gradient_is_rho_less_the_divergence():
    z1, z2 = draw()
    module = SogCLR(5, 0.3, gamma=1.0, rho=0.2, eta=0.05, beta=1.0).double()
    module(z1, z2, torch.arange(5))
    tau = torch.full((5,), 0.3, dtype=torch.float64)
    z = normalize(torch.cat([z1, z2]), dim=1).detach()
    index = torch.arange(5).repeat(2)
    logits = (z @ z.T / 0.3).masked_fill(index[:, None] == index, -torch.inf)
    p = logits.softmax(1)
    divergence = torch.special.xlogy(p, 8 * p).sum(1).view(2, -1).mean(0)
    torch.testing.assert_close(module.state.momentum, 0.2 - divergence, rtol=1e-6, atol=1e-7)
    wanted = (tau - 0.05 * (0.2 - divergence)).clamp(0.05, 0.7)
    torch.testing.assert_close(module.state.temperature, wanted, rtol=1e-6, atol=1e-7)


def test_a_large_radius_drives_temperatures_down_and_a_small_one_up():
    for rho, end in ((5.0, 0.05), (1e-9, 0.7)):
        module = SogCLR(5, 0.3, rho=rho, eta=0.2)
        for seed in range(40):
            module(*[z.float() for z in draw(seed=seed)], torch.arange(5))
        torch.testing.assert_close(module.state.temperature, torch.full((5,), end))


def test_moving_average_first_visits_and_evaluation():
    z1, z2 = draw()
    tau = torch.full((5,), 0.2, dtype=torch.float64)
    g = log_means(z1, z2, tau).exp().view(2, -1).detach()
    module = SogCLR(8, 0.2, gamma=0.8).double()
    module(z1, z2, torch.tensor([0, 1, 2, 3, 4]))
    torch.testing.assert_close(module.state.estimate[:5], g.mean(0), rtol=1e-6, atol=0)
    before = module.state.estimate.clone()
    module(z1, z2, torch.tensor([0, 1, 2, 5, 6]))
    mixed = (0.2 * before[:3] + 0.8 * g[:, :3]).mean(0)
    torch.testing.assert_close(module.state.estimate[:3], mixed, rtol=1e-6, atol=0)
    torch.testing.assert_close(module.state.estimate[5:7], g[:, 3:].mean(0), rtol=1e-6, atol=0)
    after = module.state_dict()
    module.eval()(z1, z2, torch.tensor([0, 1, 2, 5, 6]))
    assert all(torch.equal(after[k], v) for k, v in module.state_dict().items())
    resumed = SogCLR(8, 0.2, gamma=0.8).double()
    resumed.load_state_dict(after)
    index = torch.tensor([7, 1, 2, 3, 0])
    assert torch.equal(resumed.train()(z1, z2, index), module.train()(z1, z2, index))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_no_overflow_at_a_temperature_of_five_thousandths(variant):
    x, y = (z.detach().float().requires_grad_() for z in draw())
    module = BimodalSogCLR(5, 0.005, variant=variant, rho=6.0)
    for _ in range(3):
        loss = module(x, -y, torch.arange(5))
        assert torch.isfinite(loss)
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, (x, y)))
    assert all(torch.isfinite(v).all() for v in module.state_dict().values())


def test_far_negatives_weigh_by_their_own_estimate_of_two_modalities():
    x, y = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    module = BimodalSogCLR(3, 0.05, negatives="sum", normalize=False).double()
    loss = module(x, y, torch.arange(3))
    torch.testing.assert_close(loss, torch.tensor(-2.0, dtype=torch.float64))
    expected = torch.full((3,), -20.0, dtype=torch.float64).exp()
    torch.testing.assert_close(module.states[0].estimate, expected)


def test_bad_input_is_refused():
    z1, z2 = draw()
    module = SogCLR(5).double()
    with pytest.raises(DataError, match="twice"):
        module(z1, z2, torch.tensor([0, 1, 2, 3, 3]))
    with pytest.raises(DataError, match="sample 5 in row 4"):
        module(z1, z2, torch.tensor([0, 1, 2, 3, 5]))
    with pytest.raises(DataError, match="at least 2"):
        module(z1[:1], z2[:1], torch.tensor([0]))
    with pytest.raises(SettingError, match="gamma"):
        SogCLR(5, gamma=0.0)
    with pytest.raises(SettingError, match="variant"):
        BimodalSogCLR(5, variant="other")
    with pytest.raises(SettingError, match="at least one sample"):
        SampleState(0)
