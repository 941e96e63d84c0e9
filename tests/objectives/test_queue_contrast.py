import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.queue_contrast import (
    Contriever,
    ContrieverInBatch,
    ESimCSE,
    contriever,
    contriever_in_batch,
    esimcse,
)


def draw(*rows, width=5, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(n, width, dtype=torch.float64, requires_grad=True) for n in rows]


def same(found, wanted, leaves):
    torch.testing.assert_close(found, wanted)
    for a, b in zip(*(torch.autograd.grad(x, leaves) for x in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("rows", [(4, 4, 6), (9, 9, 3)])
def test_esimcse_is_a_loop_over_anchors(rows):
    z1, z2, queue = draw(*rows)
    a, b, q = (normalize(x, dim=1) for x in (z1, z2, queue.detach()))
    losses = []
    for i in range(len(a)):
        logits = torch.cat([b @ a[i], q @ a[i]]) / 0.05
        losses.append(logits.logsumexp(0) - logits[i])
    same(esimcse(z1, z2, queue), torch.stack(losses).mean(), [z1, z2])


def test_esimcse_queue_is_constant_and_never_helps():
    z1, z2, queue = draw(6, 6, 8)
    plain = esimcse(z1, z2, reduction="none")
    longer = [esimcse(z1, z2, queue[:m], reduction="none") for m in range(9)]
    assert torch.equal(longer[0], plain)
    assert all((b >= a - 1e-12).all() for a, b in itertools.pairwise(longer))
    (grad,) = torch.autograd.grad(longer[-1].sum(), queue, allow_unused=True)
    assert grad is None


def test_esimcse_pitfalls_of_the_queue():
    z1, z2, queue = draw(3, 3, 4)
    ids, queue_ids = torch.arange(3), torch.tensor([0, 7, 8, 9])
    for i in range(3):
        kept = queue[1:] if i == 0 else queue
        found = esimcse(z1, z2, queue, ids=ids, queue_ids=queue_ids, reduction="none")[i]
        torch.testing.assert_close(found, esimcse(z1, z2, kept, reduction="none")[i])
    torch.testing.assert_close(
        esimcse(z1, z2, queue.to(torch.bfloat16)),
        esimcse(z1, z2, queue.to(torch.bfloat16).double()),
    )
    zero = torch.zeros(1, 5)
    assert esimcse(zero, zero, queue.float()).item() == pytest.approx(1.6094, abs=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("unit", [(False, False), (True, False), (True, True)])
def test_contriever_is_the_dense_cross_entropy(smoothing, unit):
    q, k, queue = draw(4, 4, 7)
    a = normalize(q, dim=1) if unit[0] else q
    c = normalize(k, dim=1) if unit[1] else k
    logits = torch.cat([(a * c).sum(1, keepdim=True), a @ queue.T], 1).mul(1 / 0.2)
    target = torch.zeros(4, dtype=torch.long)
    wanted = cross_entropy(logits, target, label_smoothing=smoothing)
    settings = {
        "label_smoothing": smoothing,
        "normalize_queries": unit[0],
        "normalize_keys": unit[1],
    }
    found = contriever(q, k, queue, 0.2, **settings)
    same(found, wanted, [q])
    torch.testing.assert_close(Contriever(0.2, **settings)(q, k, queue), found)
    each = cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(contriever(q, k, queue, 0.2, reduction="none", **settings), each)


def test_contriever_gradients_reach_the_queries_only():
    q, k, queue = draw(4, 4, 7)
    loss = contriever(q, k, queue)
    grads = torch.autograd.grad(loss, [k, queue], allow_unused=True)
    assert grads == (None, None)
    assert torch.autograd.gradcheck(
        lambda x: contriever(x, k, queue, 0.5, label_smoothing=0.1), [q]
    )


def test_contriever_without_smoothing_is_info_nce_of_a_bank():
    q, k, queue = draw(4, 4, 7)
    bank = normalize(queue, dim=1).detach()
    torch.testing.assert_close(
        contriever(q, k, bank, 0.1, normalize_queries=True, normalize_keys=True),
        info_nce(q, k.detach(), 0.1, negatives=bank, in_batch=False),
    )


def test_enqueuing_first_would_put_the_positive_among_the_negatives():
    q, k, queue = draw(4, 4, 7)
    assert contriever(q, k, torch.cat([queue, k])) > contriever(q, k, queue)


@pytest.mark.parametrize("passages", [4, 9])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("unit", [False, True])
def test_contriever_in_batch_is_the_dense_cross_entropy(passages, smoothing, unit):
    q, p = draw(4, passages)
    a, c = (normalize(x, dim=1) for x in (q, p)) if unit else (q, p)
    wanted = cross_entropy(a @ c.T / 0.3, torch.arange(4), label_smoothing=smoothing)
    settings = {"label_smoothing": smoothing, "normalize": unit}
    found = contriever_in_batch(q, p, 0.3, **settings)
    same(found, wanted, [q, p])
    torch.testing.assert_close(ContrieverInBatch(0.3, **settings)(q, p), found)
    assert torch.autograd.gradcheck(lambda *x: contriever_in_batch(*x, 0.5, **settings), [q, p])


def test_hard_passages_are_negatives_of_info_nce():
    q, p = draw(4, 9)
    torch.testing.assert_close(
        contriever_in_batch(q, p, 0.3, normalize=True),
        info_nce(q, p[:4], 0.3, negatives=p[4:]),
    )


def test_momentum_gap_shrinks_by_m_to_the_n():
    torch.manual_seed(0)
    online, other = torch.nn.Linear(3, 2).double(), torch.nn.Linear(3, 2).double()
    copy = MomentumCopy(other, 0.9)
    before = copy.network.weight - online.weight
    for _ in range(5):
        copy.update(online)
    torch.testing.assert_close(copy.network.weight - online.weight, 0.9**5 * before)


def test_bad_inputs_are_refused():
    q, k, queue = draw(4, 4, 7)
    with pytest.raises(DataError, match="rows"):
        contriever(q, k[:3], queue)
    with pytest.raises(DataError, match="queue"):
        contriever(q, k, queue[:0])
    with pytest.raises(DataError, match="as many passages"):
        contriever_in_batch(q, k[:3])
    with pytest.raises(SettingError, match="label_smoothing"):
        contriever(q, k, queue, label_smoothing=1.0)
    with pytest.raises(SettingError, match="temperature"):
        esimcse(q, k, queue, 0)
    spoilt = k.detach().clone()
    spoilt[2, 1] = torch.nan
    for call in (lambda: esimcse(q, spoilt), lambda: contriever(q, spoilt, queue)):
        with pytest.raises(DataError, match="row 2"):
            call()
    with pytest.raises(DataError, match="width"):
        esimcse(q, k, queue[:, :3])
    assert torch.equal(ESimCSE()(q, k, queue), esimcse(q, k, queue))
