import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.engine import rows as rows_module
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import functional as F
from counterpoint.objectives.mochi import MoCHi, MoCHiInBatch, mochi, mochi_in_batch
from counterpoint.pairs.mixing import Mixtures, draw_mixtures, hardest_rows


def draw(b=5, size=20, d=6):
    torch.manual_seed(0)
    q, k, queue = (normalize(torch.randn(n, d, dtype=torch.float64), dim=1) for n in (b, b, size))
    return q.requires_grad_(), k, queue


def generator():
    return torch.Generator().manual_seed(3)


def test_equals_a_loop_with_own_hardest_for_every_query(monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 8)
    q, k, queue = draw()
    loss = mochi(q, k, queue, 0.3, hardest=6, pairs=4, with_query=3, generator=generator())
    hard = hardest_rows(q, queue, 6)
    drawn = draw_mixtures(hard, 4, 3, q, generator())
    values = []
    for b in range(5):
        own = (q[b] @ queue.T).argsort(descending=True)[:6]
        assert hard[b].tolist() == own.tolist()
        assert {*drawn.first[b].tolist(), *drawn.partner[b].tolist()} <= set(own.tolist())
        points = []
        for i, j, a in zip(drawn.first[b], drawn.second[b], drawn.alpha[b], strict=True):
            points.append(normalize(a * queue[i] + (1 - a) * queue[j], dim=0))
        for j, share in zip(drawn.partner[b], drawn.beta[b], strict=True):
            assert share < 0.5
            points.append(normalize(share * q[b].detach() + (1 - share) * queue[j], dim=0))
        logits = torch.cat([q[b] @ k[b][:, None], queue @ q[b], torch.stack(points) @ q[b]]) / 0.3
        values.append(cross_entropy(logits[None], torch.tensor([0])))
    wanted = torch.stack(values).mean()
    torch.testing.assert_close(loss, wanted)
    (grad,) = torch.autograd.grad(loss, q)
    (dense,) = torch.autograd.grad(wanted, q)
    torch.testing.assert_close(grad, dense - q * (dense * q).sum(1, keepdim=True))


def test_mixtures_found_in_blocks_are_those_of_the_whole_table(monkeypatch):
    q, k, queue = draw(b=21, size=30)
    other = torch.arange(30)

    def mixable(i, j):
        return other[i] != j

    hard = hardest_rows(q.detach(), queue, 6, mixable)
    drawn = draw_mixtures(hard, 4, 3, q, generator())
    whole = mochi(q, k, queue, mixtures=drawn)
    monkeypatch.setattr(rows_module, "BLOCK_NUMBERS", 8)
    sizes = {"hardest": 6, "pairs": 4, "with_query": 3}
    blocks = mochi(q, k, queue, mixable=mixable, generator=generator(), **sizes)
    torch.testing.assert_close(blocks, whole)
    with pytest.raises(DataError, match="Anchor 13 "):
        mochi(q, k, queue, mixable=lambda i, j: (i != 13) | (j < 5), **sizes)


def test_without_mixtures_it_is_moco_and_with_them_larger():
    q, k, queue = draw()
    plain = F.info_nce(q, k, 0.2, negatives=queue, in_batch=False, reduction="none")
    none = mochi(q, k, queue, pairs=0, with_query=0, reduction="none")
    torch.testing.assert_close(none, plain)
    more = mochi(q, k, queue, hardest=4, pairs=3, with_query=2, reduction="none")
    assert (more > plain).all()


def test_synthetic_points():
    q, _, queue = draw()
    hard = hardest_rows(q, queue, 5)
    drawn = draw_mixtures(hard, 50, 40, q, generator())
    points = drawn.points(q, queue)
    assert not points.requires_grad
    torch.testing.assert_close(points.norm(dim=2), torch.ones(5, 90, dtype=torch.float64))
    similarity = (points @ q[:, :, None])[..., 0]
    parent = (queue[drawn.partner] * q[:, None]).sum(2)
    assert (similarity[:, 50:] >= parent - 1e-12).all()
    parents = (queue[drawn.first] + queue[drawn.second]) @ q[:, :, None] / 2
    assert similarity[:, :50].mean() > parents.mean()
    torch.testing.assert_close(drawn.similarities(q, queue), similarity)
    zero = torch.zeros(1, 1, dtype=torch.long)
    half = torch.full((1, 1), 0.5)
    nobody = torch.zeros(1, 0)
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    short = Mixtures(zero, zero + 1, half, nobody.long(), nobody).points(apart[:1], apart)
    assert torch.equal(short, torch.zeros(1, 1, 2))


def test_own_rows_of_the_queue_are_neither_negatives_nor_mixed():
    q, k, queue = draw()
    ids, queue_ids = torch.arange(5), torch.arange(20)
    hard = hardest_rows(q, queue, 19, lambda i, j: ids[i] != queue_ids[j])
    assert all(b not in hard[b].tolist() for b in range(5))
    more = {"ids": ids, "negative_ids": queue_ids}
    with pytest.raises(DataError, match="fewer than 20"):
        mochi(q, k, queue, hardest=20, **more)
    plain = F.info_nce(q, k, 0.2, negatives=queue, in_batch=False, **more)
    torch.testing.assert_close(mochi(q, k, queue, pairs=0, with_query=0, **more), plain)
    oracle = mochi(q, k, queue, hardest=3, mixable=lambda i, j: j % 2 == 0, **more)
    assert torch.isfinite(oracle)


def test_in_one_batch():
    q, k, _ = draw()
    torch.testing.assert_close(mochi_in_batch(q, k, pairs=0, with_query=0), F.nt_xent(q, k, 0.2))
    with_points = mochi_in_batch(q, k, pairs=3, with_query=2, generator=generator())
    assert with_points > F.nt_xent(q, k, 0.2)
    z = torch.cat([q, k])
    apart = torch.arange(5).repeat(2)
    hard = hardest_rows(z.detach(), z.detach(), 2, lambda i, j: apart[i] != apart[j])
    drawn = draw_mixtures(hard, 3, 2, z, generator())
    s = z @ z.T / 0.2
    logits = torch.cat(
        [s.fill_diagonal_(-torch.inf), (drawn.points(z, z.detach()) @ z[:, :, None])[..., 0] / 0.2],
        1,
    )
    torch.testing.assert_close(with_points, cross_entropy(logits, torch.arange(10).roll(5)))


def test_gradcheck_of_real_and_synthetic_columns():
    q, k, queue = draw()
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    drawn = draw_mixtures(hardest_rows(q, queue, 4), 3, 0, q, generator())
    assert torch.autograd.gradcheck(lambda x, t: mochi(x, k, queue, t, mixtures=drawn), (q, scale))


def test_modules_and_bad_input():
    q, k, queue = draw()
    one = MoCHi(hardest=4, pairs=2, with_query=2)(q, k, queue, generator=generator())
    two = mochi(q, k, queue, hardest=4, pairs=2, with_query=2, generator=generator())
    assert torch.equal(one, two)
    one = MoCHiInBatch(pairs=2)(q, k, generator=generator())
    assert torch.equal(one, mochi_in_batch(q, k, pairs=2, generator=generator()))
    with pytest.raises(SettingError, match="hardest 21 of 20"):
        mochi(q, k, queue, hardest=21)
    with pytest.raises(SettingError, match="hardest 0 of 20"):
        mochi(q, k, queue, hardest=0)
    with pytest.raises(DataError, match="queue holds NaN"):
        mochi(q, k, queue * torch.nan)
    with pytest.raises(DataError, match="at least 2"):
        mochi_in_batch(q[:1], k[:1])
    drawn = draw_mixtures(hardest_rows(q[:3], queue, 4), 1, 1, q)
    with pytest.raises(SettingError, match="3 anchors"):
        mochi(q, k, queue, mixtures=drawn)
    with pytest.raises(SettingError, match="at least 0"):
        mochi(q, k, queue, hardest=4, pairs=-1)
