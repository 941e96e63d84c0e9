import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from counterpoint.encoders.pair_weight import PairWeight
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.contrast import contrast
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.meow import (
    MEOW,
    AdaMEOW,
    MEOWInfo,
    MEOWProto,
    adameow,
    meow,
    meow_info,
    meow_proto,
)
from counterpoint.pairs.clusterings import Apart, prototypes
from counterpoint.pairs.meta_paths import path_neighbours, symmetric_weights

CLUSTERS = torch.tensor([[0, 0, 1, 1, 0, 1], [0, 1, 2, 2, 3, 0], [1, 1, 1, 1, 1, 1]])


def draw(n=6, d=4):
    torch.manual_seed(n)
    return [torch.randn(n, d, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def groups(z, counts=(2, 4)):
    unit = normalize(z.detach(), dim=1)
    return [prototypes(unit, unit[:k] + 0.1 * unit[-1], 0.5) for k in counts]


def test_info_equals_a_loop():
    a, c = draw()
    s = normalize(a, dim=1) @ normalize(c, dim=1).T / 0.7
    wanted = []
    for i in range(6):
        total = 0
        for j in range(6):
            together = sum(int(CLUSTERS[m, i] == CLUSTERS[m, j]) for m in range(3))
            total = total + (3 - together) * s[i, j].exp()
        wanted.append(total.log() - s[i, i])
    found = meow_info(a, c, CLUSTERS, 0.7, reduction="none")
    torch.testing.assert_close(found, torch.stack(wanted))
    torch.testing.assert_close(meow_info(a, c, CLUSTERS, 0.7), found.mean())
    assert gradcheck(lambda *x: meow_info(*x, CLUSTERS, 0.7), (a, c))


def test_no_pull_between_those_who_are_always_together():
    a, c = draw()
    loss = meow_info(a, c, CLUSTERS, reduction="none")
    grad = torch.autograd.grad(loss[2], c)[0]
    assert grad[3].abs().max() == 0
    assert (grad[[0, 1, 4, 5]].abs().amax(1) > 0).all()


def test_singletons_leave_the_decoupled_loss_and_one_cluster_leaves_nothing():
    a, c = draw()
    singletons = torch.arange(6).repeat(2, 1)
    plain = contrast(a, c, 0.4, decoupled=True)
    torch.testing.assert_close(meow_info(a, c, singletons), plain + math.log(2))
    nothing = meow_info(a, c, torch.zeros(2, 6, dtype=torch.int64))
    assert nothing == 0
    assert torch.autograd.grad(nothing, a)[0].abs().max() == 0


def test_proto_equals_a_loop_and_moves_anchors_alone():
    a, c = draw()
    found = meow_proto(a, groups(c))
    wanted = 0
    for one in groups(c):
        count = len(one.directions)
        for i in range(6):
            exps = [
                (normalize(a[i], dim=0) @ one.directions[k] / one.temperature[k]).exp()
                for k in range(count)
            ]
            total = 6 / count * sum(exps)
            wanted = wanted - (exps[one.clusters[i]] / total).log() / 6 / 2
    torch.testing.assert_close(found, wanted)
    assert gradcheck(lambda x: meow_proto(x, groups(c)), a)
    assert torch.autograd.grad(found, c, allow_unused=True) == (None,)
    whole = meow(a, c, groups(c), 0.7, balance=0.3)
    info = meow_info(a, c, torch.stack([one.clusters for one in groups(c)]), 0.7)
    torch.testing.assert_close(whole, info + 0.3 * found)


@pytest.mark.parametrize("nearness", ["inner", "l2"])
def test_densities_equal_a_loop(nearness):
    torch.manual_seed(3)
    z = normalize(torch.randn(40, 5, dtype=torch.float64), dim=1)
    centroids = 0.6 * z[:7] + 0.05
    found = prototypes(z, centroids, 0.3, nearness=nearness)
    phi = []
    for k in range(7):
        values = []
        for i in range(40):
            inner, gaps = centroids @ z[i], (centroids - z[i]).norm(dim=1)
            best = inner.argmax() if nearness == "inner" else gaps.argmin()
            assert found.clusters[i] == best
            if best == k:
                values.append(max(inner[k], 0) ** 0.5 if nearness == "inner" else gaps[k])
        n = len(values)
        phi.append(float(sum(values)) / n / math.log(n + 5) if n > 1 else 0)
    phi = torch.tensor([x or max(phi) for x in phi], dtype=torch.float64)
    ordered = phi.sort().values
    low, high = (
        ordered[int(q)] + (q - int(q)) * (ordered[int(q) + 1] - ordered[int(q)]) for q in (0.6, 5.4)
    )
    phi = phi.clamp(low, high)
    torch.testing.assert_close(found.temperature, 0.3 * phi / phi.mean())
    torch.testing.assert_close(found.directions, normalize(centroids, dim=1))


def test_densities_where_the_reference_divides_by_zero():
    z = torch.eye(3, dtype=torch.float64)
    assert prototypes(z, z, 0.4).temperature.tolist() == [0.4] * 3
    away = -torch.ones(1, 3, dtype=torch.float64)
    assert prototypes(z, away, 0.4).temperature.tolist() == [0.4]
    half = torch.cat([z, -z])
    two = torch.tensor([[1.0, 1, 1], [0, 0, 0]], dtype=torch.float64)
    assert (prototypes(half, two, 0.4).temperature > 0).all()


def test_learnt_weights_equal_a_dense_softmax():
    a, c = draw()
    weight = PairWeight(4, 3).double()
    s = normalize(a, dim=1) @ normalize(c, dim=1).T / 0.8
    w = weight(normalize(a, dim=1)[:, None], normalize(c, dim=1))
    wanted = (w * s.exp()).sum(1).log() - s.diagonal()
    found = adameow(a, c, weight, 0.8, reduction="none")
    torch.testing.assert_close(found, wanted)
    leaves = (a, c, *weight.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(adameow(a, c, weight, 0.8), leaves),
        torch.autograd.grad(wanted.mean(), leaves),
    )
    assert gradcheck(lambda *x: adameow(*x, weight, 0.8), (a, c))
    temperature = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda t: adameow(a, c, weight, t), temperature)


def test_a_constant_weight_adds_its_logarithm():
    a, c = draw()
    weight = PairWeight(4).double()
    torch.nn.init.zeros_(weight.second.weight)
    constant = weight.second.bias.sigmoid().log().sum()
    torch.testing.assert_close(adameow(a, c, weight, 0.5), info_nce(a, c, 0.5) + constant)


def test_pathsim_neighbours_equal_a_loop():
    torch.manual_seed(0)
    members = (torch.rand(8, 5) < 0.5).double()
    members[:, 0] = 1
    members[3] = members[1]
    counts = members @ members.T
    kept = path_neighbours(counts, 3).to_dense()
    for i in range(8):
        ranked = sorted(
            range(8),
            key=lambda j: (-2 * counts[i, j] / (counts[i, i] + counts[j, j]), j != i, j),
        )
        wanted = torch.zeros(8, dtype=torch.float64)
        wanted[ranked[:3]] = counts[i, ranked[:3]]
        assert torch.equal(kept[i], wanted)
    assert torch.equal(path_neighbours(counts.to_sparse(), 99).to_dense(), counts)
    degree = kept.sum(1)
    scaled = kept.T / (degree[:, None] * degree).sqrt()
    torch.testing.assert_close(symmetric_weights(kept).to_dense(), scaled)
    assert symmetric_weights(torch.zeros(2, 2)).to_dense().abs().max() == 0


def test_modules_and_bad_input():
    a, c = draw()
    weight, clusterings = PairWeight(4).double(), groups(c)
    assert torch.equal(MEOW(0.9)(a, c, clusterings), meow(a, c, clusterings, 0.9))
    assert torch.equal(MEOWInfo(0.9)(a, c, CLUSTERS), meow_info(a, c, CLUSTERS, 0.9))
    assert torch.equal(MEOWProto()(a, clusterings), meow_proto(a, clusterings))
    assert torch.equal(AdaMEOW(0.9)(a, c, weight), adameow(a, c, weight, 0.9))
    with pytest.raises(DataError, match="clusters must be"):
        meow_info(a, c, CLUSTERS[:, :4])
    with pytest.raises(DataError, match="clusters must be int64"):
        Apart(CLUSTERS.double())
    with pytest.raises(DataError, match="at least one clustering"):
        meow(a, c, [])
    with pytest.raises(DataError, match="one a row"):
        meow_proto(a[:4], clusterings)
    with pytest.raises(DataError, match="pair_weight takes width"):
        adameow(a, c, PairWeight(3))
    with pytest.raises(SettingError, match="balance"):
        meow(a, c, clusterings, balance=-1.0)
    with pytest.raises(SettingError, match="nearness"):
        prototypes(a, c, 0.4, nearness="cosine")
    with pytest.raises(SettingError, match="temperature"):
        prototypes(a, c, 0.0)
    with pytest.raises(SettingError, match="neighbours"):
        path_neighbours(torch.eye(3), 0)
    with pytest.raises(DataError, match="diagonal"):
        path_neighbours(torch.ones(3, 3).fill_diagonal_(0), 2)
    with pytest.raises(DataError, match="N, N"):
        symmetric_weights(torch.ones(2, 3))
