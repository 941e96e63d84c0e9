import math

import pytest
import torch
from torch.autograd import gradcheck

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import MetaNodeContrast, NContrast, PamC
from counterpoint.objectives.pamc import cluster_divergence, meta_node_contrast, n_contrast, pamc
from counterpoint.pairs.influence import influence, walk_matrix
from counterpoint.pairs.soft_assignment import log_membership, log_target, meta_nodes

EDGES = torch.tensor([[0, 1, 2, 2, 4, 1], [1, 2, 0, 3, 5, 0]])
ASSIGNMENT = torch.tensor([0, 0, 2, 2, 4, 4, 0])


def draw(n=7, d=4, clusters=3):
    torch.manual_seed(n)
    z = torch.randn(n, d, dtype=torch.float64, requires_grad=True)
    centres = torch.randn(clusters, d, dtype=torch.float64, requires_grad=True)
    return z, centres, influence(walk_matrix(EDGES, n, dtype=torch.float64), 2)


def cosine(a, b):
    return a @ b / (a.norm() * b.norm())


def loop(z, rows, reach, temperature):
    near, far = 0, 0
    for i in range(len(z)):
        total = 0
        for j in range(len(z)):
            s = 0 if i == j else cosine(z[i], z[j])
            total = total + reach[i, j] * torch.as_tensor(s / temperature).exp()
        near = near + (total + 1e-10).log() / len(z)
    for a in range(len(rows)):
        total = 1
        for b in range(len(rows)):
            if a != b:
                total = total + (cosine(rows[a], rows[b]) / temperature).exp()
        far = far + (total + 1e-10).log() / len(rows)
    return far - near


def test_the_walk_and_its_powers():
    walk = walk_matrix(EDGES, 7, dtype=torch.float64).to_dense()
    raw = torch.eye(7, dtype=torch.float64)
    raw[EDGES[0], EDGES[1]] = 1
    raw[EDGES[1], EDGES[0]] = 1
    torch.testing.assert_close(walk, raw / raw.sum(1, keepdim=True))
    assert not torch.equal(walk, walk.T)
    torch.testing.assert_close(
        influence(walk, 3).to_dense(), walk + walk @ walk + walk @ walk @ walk
    )
    torch.testing.assert_close(influence(walk, 3, cumulative=False).to_dense(), walk @ walk @ walk)
    assert influence(walk, 3).to_dense().sum(1).tolist() == pytest.approx([3] * 7)


def test_contrasts_equal_a_loop():
    z, _, reach = draw()
    rows = torch.stack([z[k == ASSIGNMENT].sum(0) for k in (0, 2, 4)])
    for found, wanted in (
        (meta_node_contrast(z, ASSIGNMENT, reach, 0.7), loop(z, rows, reach.to_dense(), 0.7)),
        (n_contrast(z, reach, 0.7), loop(z, z, reach.to_dense(), 0.7)),
    ):
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(*(torch.autograd.grad(x, z)[0] for x in (found, wanted)))


def test_derivatives_numerically():
    z, centres, reach = draw()
    assert gradcheck(lambda x: meta_node_contrast(x, ASSIGNMENT, reach), z)
    assert gradcheck(lambda x: n_contrast(x, reach), z)
    log_p = log_target(log_membership(z, centres, freedom=2.0))

    def fixed_target(x, c):
        return (log_p.exp() * (log_p - log_membership(x, c, freedom=2.0))).sum(1).mean()

    assert gradcheck(fixed_target, (z, centres))
    torch.testing.assert_close(
        torch.autograd.grad(cluster_divergence(z, centres, freedom=2.0), (z, centres)),
        torch.autograd.grad(fixed_target(z, centres), (z, centres)),
    )


def test_membership_and_target_follow_their_formulas():
    z, centres, _ = draw()
    q = (1 + (z[:, None] - centres).square().sum(2) / 3) ** -2
    q = q / q.sum(1, keepdim=True)
    torch.testing.assert_close(log_membership(z, centres, freedom=3.0).exp(), q)
    p = q.square() / q.sum(0)
    p = p / p.sum(1, keepdim=True)
    target = log_target(q.log())
    torch.testing.assert_close(target.exp(), p)
    assert not target.requires_grad
    on_a_centre = cluster_divergence(centres.detach().clone().requires_grad_(), centres)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(on_a_centre, centres))


def test_the_step_is_the_weighted_sum():
    z, centres, reach = draw()
    log_q = log_membership(z, centres)
    for soft, assignment in ((False, log_q.argmax(1)), (True, log_q.exp())):
        wanted = 0.5 * meta_node_contrast(z, assignment, reach) + 3 * cluster_divergence(z, centres)
        found = pamc(z, centres, reach, alpha=0.5, beta=3.0, soft=soft)
        torch.testing.assert_close(found, wanted)
    shares = torch.nn.functional.one_hot(ASSIGNMENT).double()
    torch.testing.assert_close(
        meta_node_contrast(z, shares, reach), meta_node_contrast(z, ASSIGNMENT, reach)
    )


def test_sums_and_means_of_members_and_any_scale_give_the_same():
    z, _, reach = draw()
    sizes = torch.bincount(ASSIGNMENT)[ASSIGNMENT]
    sums = meta_node_contrast(z, ASSIGNMENT, reach)
    means = meta_node_contrast(
        z, torch.nn.functional.one_hot(ASSIGNMENT).double() / sizes[:, None], reach
    )
    torch.testing.assert_close(means, sums)
    torch.testing.assert_close(*(torch.autograd.grad(x, z)[0] for x in (means, sums)))
    torch.testing.assert_close(meta_node_contrast(1e3 * z, ASSIGNMENT, reach), sums)
    torch.testing.assert_close(meta_node_contrast(z, ASSIGNMENT, reach.to_dense()), sums)


def test_empty_clusters_zero_rows_one_cluster_and_lonely_nodes():
    z, _, reach = draw()
    assert len(meta_nodes(z, ASSIGNMENT)) == 3
    one = meta_node_contrast(z, torch.zeros(7, dtype=torch.int64), reach)
    alone = meta_node_contrast(z, torch.arange(7), reach)
    torch.testing.assert_close(alone, n_contrast(z, reach))
    pulled = torch.autograd.grad(one, z)[0]
    assert torch.isfinite(pulled).all()
    assert pulled[6].abs().max() == 0
    flat = z.detach().clone()
    flat[0] = 0
    flat.requires_grad_()
    value = meta_node_contrast(flat, ASSIGNMENT, reach)
    assert torch.isfinite(value)
    assert torch.isfinite(torch.autograd.grad(value, flat)[0]).all()
    nothing = torch.zeros(7, 7, dtype=torch.float64)
    value = meta_node_contrast(z, torch.zeros(7, dtype=torch.int64), nothing)
    assert value.item() == pytest.approx(math.log(1 + 1e-10) - math.log(1e-10))


def test_it_stays_finite_at_a_tiny_temperature():
    z, _, reach = draw()
    found = meta_node_contrast(z.float(), ASSIGNMENT, reach.float(), 1e-3)
    wanted = meta_node_contrast(z, ASSIGNMENT, reach, 1e-3).item()
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_modules_and_bad_input():
    z, centres, reach = draw()
    assert torch.equal(PamC(beta=4.0)(z, centres, reach), pamc(z, centres, reach, beta=4.0))
    given = MetaNodeContrast(0.5)(z, ASSIGNMENT, reach)
    assert torch.equal(given, meta_node_contrast(z, ASSIGNMENT, reach, 0.5))
    assert torch.equal(NContrast(0.5)(z, reach), n_contrast(z, reach, 0.5))
    with pytest.raises(DataError, match="influence must be"):
        n_contrast(z, reach.to_dense()[:5])
    with pytest.raises(DataError, match="not negative"):
        n_contrast(z, -reach)
    with pytest.raises(DataError, match="from 0 on"):
        meta_node_contrast(z, ASSIGNMENT - 1, reach)
    with pytest.raises(DataError, match="shares"):
        meta_node_contrast(z, torch.ones(3, 2), reach)
    with pytest.raises(SettingError, match="temperature"):
        pamc(z, centres, reach, 0.0)
    with pytest.raises(SettingError, match="alpha"):
        pamc(z, centres, reach, alpha=-1.0)
    with pytest.raises(SettingError, match="freedom"):
        log_membership(z, centres, freedom=0.0)
    with pytest.raises(SettingError, match="order"):
        influence(reach, 0)
    with pytest.raises(DataError, match="nodes 0"):
        walk_matrix(EDGES, 5)
